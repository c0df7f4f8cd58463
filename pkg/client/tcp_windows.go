package client

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// localFailures are the errors of connect that mean that nothing was sent.
var localFailures = []syscall.Errno{
	windows.WSAEACCES, windows.WSAEADDRINUSE, windows.WSAEADDRNOTAVAIL,
	windows.WSAEAFNOSUPPORT, windows.WSAEINVAL, windows.WSAENOBUFS,
}
