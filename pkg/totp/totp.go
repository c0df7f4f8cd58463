// Package totp makes knocks of time-based one-time passwords (RFC 6238), so that
// a phone's authenticator and anything that can open a connection are a client.
//
// A code has eight digits and holds for one step of 30 seconds. Its four pairs
// of digits are four ports, each in a lane of 100 ports of its own, so that the
// knocks may arrive in any order.
//
// A Secret never prints itself, whatever verb, logger or encoder is asked to;
// only Base32 and URI give it away. No error of this package shows any part of a
// secret or of a code.
package totp

import "time"

// What an authenticator must be told of our codes, and URI tells it.
const (
	Digits = 8
	Period = 30 * time.Second
)

// Step gives the number of the Period that t lies in, counted from the Unix
// epoch: T of RFC 6238 section 4.2. Periods before the epoch have negative
// numbers.
func Step(t time.Time) int64 {
	const seconds = int64(Period / time.Second)
	now := t.Unix()
	step := now / seconds
	if now%seconds < 0 {
		step-- // the RFC takes the floor
	}
	return step
}
