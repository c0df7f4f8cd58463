package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"nftknock/pkg/client"
)

// prompt asks on the terminal that is standard input and returns the line that is
// typed. An interrupt restores the state of the terminal.
func prompt(ctx context.Context, stderr io.Writer) func(question string, echo bool) ([]byte, error) {
	return func(question string, echo bool) ([]byte, error) {
		fd := int(os.Stdin.Fd())
		state, err := term.GetState(fd)
		if err != nil {
			return nil, client.ErrNoTerminal
		}
		defer func() { _ = term.Restore(fd, state) }()
		fmt.Fprint(stderr, question)
		type answer struct {
			line []byte
			err  error
		}
		// NB: a read from a terminal cannot be interrupted: after an interrupt the
		// goroutine stays until the process ends.
		typed := make(chan answer, 1)
		go func() {
			var a answer
			if echo {
				a.line, a.err = readLine(os.Stdin)
			} else {
				a.line, a.err = term.ReadPassword(fd)
			}
			typed <- a
		}()
		select {
		case a := <-typed:
			if !echo {
				fmt.Fprintln(stderr) // the newline that was typed is not shown
			}
			return a.line, a.err
		case <-ctx.Done():
			fmt.Fprintln(stderr)
			return nil, errors.New("interrupted")
		}
	}
}

// readLine reads up to the end of a line, and no byte beyond.
func readLine(r io.Reader) ([]byte, error) {
	const longest = 1 << 10
	var line []byte
	for b := make([]byte, 1); len(line) < longest; {
		switch _, err := r.Read(b); {
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil && b[0] == '\n':
			return line, nil
		case err != nil:
			return nil, err
		}
		line = append(line, b[0])
	}
	return nil, errors.New("the line does not end")
}
