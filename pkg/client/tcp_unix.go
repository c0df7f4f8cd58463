//go:build unix

package client

import "syscall"

// localFailures are the errors of connect that mean that nothing was sent.
// EACCES is not among them: it is what ICMPv6 "administratively prohibited"
// becomes (Linux net/ipv6/icmp.c, tab_unreach).
var localFailures = []syscall.Errno{
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAFNOSUPPORT, syscall.EAGAIN,
	syscall.EINVAL, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM,
}
