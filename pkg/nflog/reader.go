package nflog

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	gonflog "github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"
)

// Reader is a listener to log groups. Only Read must be kept to one goroutine
// at a time.
type Reader struct {
	socket
	stream

	config Config
	pace   pace

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// Open binds the groups in the network namespace of the calling thread. It
// needs CAP_NET_ADMIN in the user namespace that owns the network namespace.
// Its errors wrap ErrGroupTaken, ErrPermission or ErrUnsupported where that
// is the reason, and say what to do about it.
func Open(c Config) (*Reader, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	handle, err := gonflog.Open(&gonflog.Config{Copymode: gonflog.CopyPacket})
	if err != nil {
		return nil, dialError(err)
	}
	r := &Reader{config: c}
	r.stream.init(c.Groups)
	err = r.socket.init(handle.Con, readSize)
	if err == nil {
		err = r.start()
	}
	if err != nil {
		handle.Con.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) start() error {
	if err := r.conn.SetReadBuffer(r.config.ReceiveBuffer); err != nil {
		return fmt.Errorf("nflog: set receive buffer: %w", err)
	}
	if err := r.admitAnswers(); err != nil {
		return err
	}
	for _, g := range r.config.Groups {
		if err := r.bind(g); err != nil {
			return err
		}
	}
	return r.admitAll()
}

// Read fills rec with the next packet. See Source. After an error other than
// os.ErrClosed the socket is of no more use.
func (r *Reader) Read(rec *Record) error {
	for {
		if r.closed.Load() {
			return os.ErrClosed
		}
		if r.next(rec) {
			return nil
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// fill waits for the next datagram.
func (r *Reader) fill() error {
	err := r.recv(true)
	switch {
	case r.closed.Load():
		return os.ErrClosed
	case err != nil:
		return fmt.Errorf("nflog: read: %w", err)
	case r.errno == unix.ENOBUFS:
		// Packets were dropped, and the next ones can be read as ever.
		r.overruns.Add(1)
	case r.errno != 0:
		return fmt.Errorf("nflog: read: %w", os.NewSyscallError("recvfrom", r.errno))
	case !r.fromKernel():
		r.foreign.Add(1)
	default:
		now := time.Now()
		r.load(r.datagram(), now)
		if r.pace.observe(now, r.packets.Load()) {
			r.batch()
		}
	}
	return nil
}

// batch tells the kernel the threshold that goes with the pace. A request
// that cannot be sent is as good as one that is refused: packets come all
// the same.
func (r *Reader) batch() {
	if r.config.QueueThreshold == r.config.BusyThreshold {
		return
	}
	threshold := r.config.QueueThreshold
	if r.pace.busy {
		threshold = r.config.BusyThreshold
	}
	for _, g := range r.config.Groups {
		if _, err := r.conn.Send(r.config.batchRequest(g, threshold)); err != nil {
			r.refused.Add(1)
		}
	}
}

// Close ends Read and frees the groups. See Source. Closing the descriptor
// interrupts a system call that waits on it and does not return before that
// call has (internal/poll.FD.Close), so nothing more is needed to wait for
// the other goroutine.
func (r *Reader) Close() error {
	r.closeOnce.Do(func() {
		r.closed.Store(true)
		r.closeErr = r.conn.Close()
	})
	return r.closeErr
}
