package client

import "fmt"

// Error is an error with a hint for the user.
type Error struct {
	Err  error
	Hint string // what to do about it; may be empty
	// Config is set if the request or a file is wrong, so that the same command
	// fails again.
	Config bool
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// configError returns an Error with Config set.
func configError(hint, format string, args ...any) *Error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Config: true}
}
