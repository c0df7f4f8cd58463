package nflog

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// socket reads datagrams from a netlink socket, one at a time into one
// buffer, without allocating.
//
// It calls recvfrom(2) itself: the wrappers of package unix allocate a
// Sockaddr for every datagram, netlink.Conn a buffer as well. Plain read(2)
// would do after connect(2) to the kernel, which makes the kernel refuse
// datagrams from elsewhere, but would not tell that a datagram was cut.
type socket struct {
	conn *netlink.Conn
	raw  syscall.RawConn
	buf  []byte

	// Arguments and results of receive. They are here, and receive is made
	// once, because whatever a system call points to and a closure made for
	// every read would each be an allocation.
	receive func(fd uintptr) (done bool)
	wait    bool
	from    unix.RawSockaddrNetlink
	fromLen uint32
	size    int // of the datagram, which may be larger than buf
	errno   unix.Errno
}

func (s *socket) init(conn *netlink.Conn, size int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("nflog: %w", err)
	}
	s.conn, s.raw, s.buf = conn, raw, make([]byte, size)
	s.receive = s.recvfrom
	return nil
}

// recv waits for a datagram, or does not if wait is false. Its error is that
// the socket is closed. Everything else, EAGAIN among it, is in s.errno.
func (s *socket) recv(wait bool) error {
	s.wait = wait
	return s.raw.Read(s.receive)
}

func (s *socket) recvfrom(fd uintptr) (done bool) {
	for {
		s.fromLen = unix.SizeofSockaddrNetlink
		// MSG_TRUNC makes the result the size of the datagram, not of what
		// was copied of it.
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(&s.buf[0])), uintptr(len(s.buf)), unix.MSG_TRUNC,
			uintptr(unsafe.Pointer(&s.from)), uintptr(unsafe.Pointer(&s.fromLen)))
		if errno == unix.EINTR {
			continue
		}
		s.size, s.errno = int(n), errno
		return errno != unix.EAGAIN || !s.wait
	}
}

// fromKernel reports that the datagram is the kernel's, which has port 0.
// Processes with CAP_NET_ADMIN in the network namespace can send us what they
// like.
func (s *socket) fromKernel() bool {
	return s.fromLen == unix.SizeofSockaddrNetlink && s.from.Pid == 0
}

// datagram is what was received. One larger than the buffer ends in a message
// that is cut, which its reader will notice.
func (s *socket) datagram() []byte { return s.buf[:min(s.size, len(s.buf))] }
