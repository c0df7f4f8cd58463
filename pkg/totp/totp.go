// Package totp converts time-based one-time passwords (RFC 6238) to ports to knock at, so
// that a phone's authenticator and any program that can open a connection are enough for
// a client.
//
// A code has eight digits and is valid for one step of 30 seconds. Its four pairs of
// digits are sent as four ports. Each pair has a lane of 100 ports of its own, so that
// the packets may arrive in any order.
//
// Printing, logging or encoding a Secret shows "[secret]"; only Base32 and URI return it.
// No error of this package contains any part of a secret or of a code.
package totp

import "time"

// The form of a code. URI contains it, for authenticators.
const (
	Digits = 8
	Period = 30 * time.Second
)

// Step returns the number of the Period that t is in, counted from the Unix epoch: T of
// RFC 6238, section 4.2. Periods before the epoch have negative numbers.
func Step(t time.Time) int64 {
	const seconds = int64(Period / time.Second)
	now := t.Unix()
	step := now / seconds
	if now%seconds < 0 {
		step-- // the RFC rounds down, Go's division rounds towards zero
	}
	return step
}
