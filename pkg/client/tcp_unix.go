//go:build unix

package client

import (
	"syscall"
)

// localFailures are the errors of connect that mean that nothing was sent. EACCES is not
// among them: Linux returns it for an ICMPv6 "administratively prohibited" (tab_unreach
// in net/ipv6/icmp.c).
var localFailures = []syscall.Errno{
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAFNOSUPPORT, syscall.EAGAIN,
	syscall.EINVAL, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM,
}

// portTaken are the errors that mean that another socket uses the source port: of bind,
// and of connect if the same connection exists (__inet_check_established in Linux,
// net/ipv4/inet_hashtables.c).
var portTaken = []syscall.Errno{syscall.EADDRINUSE, syscall.EADDRNOTAVAIL}

// burstWait is how long sendSYN waits for packets of a loose knock. The SYN has left when
// connect(2) returns.
const burstWait = 0

// closeWithReset makes close reset the connection, so that its port is free at once.
func closeWithReset(fd uintptr) {
	// With l_onoff set and l_linger 0 an established connection is reset. In SYN-SENT
	// nothing is sent.
	_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}
