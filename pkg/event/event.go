// Package event holds what can happen to the daemon as values: a struct for each
// event, with the line that the log has for it, and the way from whoever sees it
// happen to whoever wants to know.
//
// A Dispatcher hands each event to its consumers: the log, the memory of recent
// refusals (Recent), and whatever else is added. It also decides which lines are
// left out, because strangers can cause events at any rate. What is left out is
// marked, not dropped: a consumer that needs every event gets it.
//
// The package knows neither the kernel nor the engine nor the policy. Whoever
// emits an event puts what it knows into plain fields.
package event

import (
	"log/slog"
	"time"
)

// An Event is something that happened. Every exported struct of this package
// with a method Line is one; docs/commands.md lists them by name, and a test holds
// the list against the code. An Event is not changed once it is emitted. Its Err, if
// it has one, is not nil, but for LogLost.
type Event interface {
	// Line gives what the log says of the event. It is called only for events
	// that are told, so that a flood costs no formatting.
	Line() Line
}

// Line is an event as the log has it: one sentence, and fields beside it.
type Line struct {
	Name   string // of the event: the field "event". Types may share one
	Level  slog.Level
	Text   string      // the sentence; it may quote several lines
	Fields []slog.Attr // those after "event", without "omitted"
}

// limited is an event that strangers can cause, so that a limit holds for its
// lines.
type limited interface {
	// limit gives the class whose limit it is, and the access that has a share
	// of its own in it, or "".
	limit() (class, string)
}

// A Record is an event on its way to a consumer.
type Record struct {
	Event Event
	Time  time.Time // of the dispatcher's clock
	// Told is false for an event whose like was told too often: the log leaves
	// it out.
	Told bool
	// Omitted is how many were left out since the last of the same class and
	// access that was told. It is 0 if Told is false.
	Omitted int
}

// A Consumer gets every event, in the order of emission.
type Consumer interface {
	// Consume is called by one goroutine at a time. It must return at once and
	// must not emit: whoever emitted waits for it. See Async for a consumer that
	// cannot.
	Consume(Record)
}
