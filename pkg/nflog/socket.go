package nflog

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// socket reads datagrams from a netlink socket, one at a time into one buffer, without
// allocating.
//
// It calls recvfrom(2) directly: the wrappers of package unix allocate a Sockaddr per
// datagram, and netlink.Conn a buffer too. read(2) on a socket that is connected to
// the kernel would not show whether a datagram was cut.
type socket struct {
	conn *netlink.Conn
	raw  syscall.RawConn
	buf  []byte

	// Arguments and results of receive. They are fields, and receive is assigned
	// once, because local variables whose address is passed to a system call and a
	// closure per read would be allocated on the heap.
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

// recv receives a datagram. If there is none it waits for one, or sets s.errno to EAGAIN
// if wait is false. It returns an error only if the socket is closed; s.errno has all
// others.
func (s *socket) recv(wait bool) error {
	s.wait = wait
	return s.raw.Read(s.receive)
}

// recvfrom is the function for RawConn.Read, which calls it again when the socket is
// readable if it returns false.
func (s *socket) recvfrom(fd uintptr) (done bool) {
	for {
		s.fromLen = unix.SizeofSockaddrNetlink // in and out
		// With MSG_TRUNC the result is the size of the datagram, even if less was
		// copied (man 2 recv).
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

// fromKernel reports whether the kernel sent the datagram. Its port is 0. A process with
// CAP_NET_ADMIN in the network namespace can send any datagram to this socket
// (netlink_allowed in net/netlink/af_netlink.c).
func (s *socket) fromKernel() bool {
	return s.fromLen == unix.SizeofSockaddrNetlink && s.from.Pid == 0
}

// datagram returns the bytes received. If the datagram was larger than the buffer, its
// last message is cut, which cutMessage reports.
func (s *socket) datagram() []byte { return s.buf[:min(s.size, len(s.buf))] }
