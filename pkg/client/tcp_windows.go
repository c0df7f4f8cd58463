package client

import (
	"syscall"
	"time"

	"golang.org/x/sys/windows"
)

// localFailures are the errors of connect that mean that nothing was sent.
var localFailures = []syscall.Errno{
	windows.WSAEACCES, windows.WSAEADDRINUSE, windows.WSAEADDRNOTAVAIL,
	windows.WSAEAFNOSUPPORT, windows.WSAEINVAL, windows.WSAENOBUFS,
}

// portTaken are the errors that mean that another socket uses the source port.
var portTaken = []syscall.Errno{windows.WSAEADDRINUSE, windows.WSAEADDRNOTAVAIL}

// burstWait is how long sendSYN waits for packets of a loose knock. ConnectEx must have
// sent the SYN before it is cancelled.
const burstWait = 10 * time.Millisecond

// closeWithReset makes close reset the connection, so that its port is free at once.
func closeWithReset(fd uintptr) {
	_ = syscall.SetsockoptLinger(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}
