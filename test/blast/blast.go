// Package blast sends prepared frames on an interface as fast as possible, and measures
// the processor time per frame. On a veth pair the kernel handles a frame on the receiving
// host within the system call of the sender, on the same processor, so the time includes
// that of the receiving host's firewall.
package blast

import (
	"fmt"
	"net"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Sender owns a packet socket on one interface. It is for one goroutine.
type Sender struct {
	fd       int
	messages []message
	vectors  []unix.Iovec
}

// message is struct mmsghdr of sendmmsg(2), on 64-bit systems.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// Open makes a Sender for an interface of the calling thread's network namespace. It needs
// CAP_NET_RAW there. Receive needs listens, which makes the kernel copy each frame to the
// socket.
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
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // a __be16, on little-endian hosts
		address.Protocol = all
	}
	// Without the queueing discipline the frame has been delivered when send returns.
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

// Close closes the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Send sends each frame once, in order, and returns the processor time per frame of the
// calling thread. A frame must be a whole Ethernet frame.
func (s *Sender) Send(frames [][]byte) (each time.Duration, err error) {
	const batch = 64
	runtime.LockOSThread() // threadTime is that of one thread
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
	// NB: after all of s.vectors are appended, since append may move them.
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
		case unix.EINTR, unix.ENOBUFS: // try again
		default:
			return 0, fmt.Errorf("sendmmsg: %w", errno)
		}
	}
}

// threadTime returns the processor time that the calling thread has used.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}
