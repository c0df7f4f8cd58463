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

// portTaken are the errors that mean that another socket has the source port.
var portTaken = []syscall.Errno{windows.WSAEADDRINUSE, windows.WSAEADDRNOTAVAIL}

// burstWait is how long a SYN takes that does not wait for its answer.
// ConnectEx must have begun before it is given up.
const burstWait = 10 * time.Millisecond

// closeWithReset lets the socket close without lingering, so that its port is
// free again at once.
func closeWithReset(fd uintptr) {
	_ = syscall.SetsockoptLinger(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
}
