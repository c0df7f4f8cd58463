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

// Reader is a Source of the packets of log groups.
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
// Its errors wrap ErrGroupTaken, ErrPermission or ErrUnsupported if that is the
// cause, and then say what to do about it.
func Open(c Config) (*Reader, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	// go-nflog opens the socket; it binds a group only in Register, which is not
	// called.
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

// start sets the receive buffer and binds the groups.
func (r *Reader) start() error {
	// NB: before the groups are bound, or a flood overruns the default buffer.
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
// os.ErrClosed the Reader must be closed.
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
		// netlink_overrun sets this error when a datagram does not fit into the
		// receive buffer. The datagrams before it are still in the buffer.
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

// batch sets the threshold that belongs to the pace, in the kernel. If a request cannot
// be sent it is counted like one that the kernel refuses: packets are then delivered
// with the previous threshold.
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

// Close interrupts Read and unbinds the groups. See Source.
func (r *Reader) Close() error {
	r.closeOnce.Do(func() {
		// NB: before Close of the connection, so that Read knows why its wait ended.
		r.closed.Store(true)
		// Close wakes a goroutine that waits in recv, and returns after that has
		// left the descriptor (internal/poll.FD.Close). The kernel unbinds the
		// groups when the last reference to the socket is gone
		// (nfulnl_rcv_nl_event), so they are free then.
		r.closeErr = r.conn.Close()
	})
	return r.closeErr
}
