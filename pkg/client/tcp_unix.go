//go:build unix

package client

import (
	"syscall"
)

// localFailures are the errors of connect that mean that nothing was sent.
// EACCES is not among them: it is what ICMPv6 "administratively prohibited"
// becomes (Linux net/ipv6/icmp.c, tab_unreach).
var localFailures = []syscall.Errno{
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAFNOSUPPORT, syscall.EAGAIN,
	syscall.EINVAL, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM,
}

// portTaken are the errors that mean that another socket has the source port.
var portTaken = []syscall.Errno{syscall.EADDRINUSE, syscall.EADDRNOTAVAIL}

// burstWait is how long a SYN takes that does not wait for its answer. It has
// left when connect(2) returns.
const burstWait = 0

// closeWithReset lets the socket close without lingering, so that its port is
// free again at once. One that got no answer yet is closed in silence.
func closeWithReset(fd uintptr) {
	_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}
