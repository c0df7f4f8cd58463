package client

import "fmt"

// Error is an error with a hint for the user.
type Error struct {
	Err  error
	Hint string // what to do about it; may be empty
	// Config: the request or a file is wrong, and the same request will fail
	// again.
	Config bool
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// configError is an Error about a file or the command line.
func configError(hint, format string, args ...any) *Error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Config: true}
}
