// Package invalid is the error of input that cannot be used: what is wrong with
// it, and what would be right.
//
// Packages that read what people write return an *Error, so that whoever shows
// it can put the two parts where they belong (a policy diagnostic has a message
// and a hint) without taking a sentence apart.
package invalid

import "fmt"

// Error says what is wrong with an input and what is wanted instead.
type Error struct {
	// Problem names the input and its fault, `bad port in service "tcp/0"`. It
	// never holds a secret.
	Problem string
	// Want is what would be right, "1 to 65535". It is empty where there is
	// nothing to say.
	Want string
}

// New returns an *Error.
func New(problem, want string) error { return &Error{problem, want} }

// Newf returns an *Error whose problem is formatted as by fmt.Sprintf.
func Newf(want, format string, args ...any) error {
	return &Error{fmt.Sprintf(format, args...), want}
}

// Error returns both parts in one sentence: "PROBLEM: want WANT".
func (e *Error) Error() string {
	if e.Want == "" {
		return e.Problem
	}
	return e.Problem + ": want " + e.Want
}
