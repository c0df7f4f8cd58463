package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// onTerminal reports whether a file is a terminal.
func onTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// showProgress writes once per second how much of a file has been read, until stop
// is called. It writes to standard error, and nothing if that is no terminal.
func showProgress(progress func() (float64, bool)) (stop func()) {
	if !onTerminal(os.Stderr) {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				fmt.Fprint(os.Stderr, "\r\x1b[K")
				return
			case <-tick.C:
				if part, ok := progress(); ok {
					fmt.Fprintf(os.Stderr, "\r%3.0f %%", part*100)
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}
