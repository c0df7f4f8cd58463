package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// onTerminal reports whether somebody reads along.
func onTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// showProgress writes how far a long file has been read to a terminal, once a
// second, until the function it returns is called.
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
