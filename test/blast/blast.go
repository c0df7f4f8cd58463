// Package blast sends prepared frames out of an interface as fast as the
// machine can, and says what a frame cost. On a cable (veth) the kernel handles
// a frame on the far host within the system call that sent it, on the sender's
// processor: the cost holds all that the far host's firewall did.
package blast

import (
	"fmt"
	"net"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Sender owns a packet socket on one interface. It belongs to one goroutine.
type Sender struct {
	fd       int
	messages []message
	vectors  []unix.Iovec
}

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// Open makes a Sender for an interface of the calling thread's network
// namespace. It needs CAP_NET_RAW there. Only one that listens can Receive, at
// the price of a copy of each frame.
func Open(device string, listens bool) (*Sender, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	address := &unix.SockaddrLinklayer{Ifindex: link.Index}
	if listens {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
		address.Protocol = all
	}
	// Without queueing discipline the frame is on the wire when send returns.
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if err == nil {
		err = unix.Bind(fd, address)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	return &Sender{fd: fd}, nil
}

// Close lets go of the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Send sends each frame once, in order, and returns the time of the calling
// thread that one of them took. Every frame is a whole Ethernet frame.
func (s *Sender) Send(frames [][]byte) (each time.Duration, err error) {
	const batch = 64
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, err := threadTime()
	if err != nil {
		return 0, err
	}
	for rest := frames; len(rest) > 0; {
		n, err := s.send(rest[:min(batch, len(rest))])
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	end, err := threadTime()
	return (end - start) / time.Duration(max(len(frames), 1)), err
}

func (s *Sender) send(frames [][]byte) (int, error) {
	s.messages, s.vectors = s.messages[:0], s.vectors[:0]
	for _, f := range frames {
		s.vectors = append(s.vectors, unix.Iovec{Base: &f[0]})
		s.vectors[len(s.vectors)-1].SetLen(len(f))
	}
	for i := range s.vectors {
		m := message{header: unix.Msghdr{Iov: &s.vectors[i]}}
		m.header.SetIovlen(1)
		s.messages = append(s.messages, m)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd),
			uintptr(unsafe.Pointer(&s.messages[0])), uintptr(len(s.messages)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.ENOBUFS:
		default:
			return 0, fmt.Errorf("sendmmsg: %w", errno)
		}
	}
}

// threadTime is the processor time that this thread has used.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}
