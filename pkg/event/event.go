// Package event defines the events of the daemon: a struct per event, with its line for the
// log, and the Dispatcher that hands events to consumers.
//
// The log is a consumer, and Recent is another: a memory of the last knocks of each source.
// The Dispatcher also limits the lines of the log, because strangers can cause events at
// any rate. An event beyond the limit is marked and not dropped: consumers other than the
// log get it, too.
//
// The package imports nothing of the kernel, the engine or the policy. An event has plain
// fields, which the emitting package fills in.
package event

import (
	"log/slog"
	"time"
)

// An Event is one of the exported structs of this package that have a method Line.
// docs/commands.md lists their names, and a test compares the list with the code. An Event
// does not change after Emit. Its field Err, if it has one, is not nil, except that of
// LogLost.
type Event interface {
	// Line returns the line of the event for the log. It is called only for events that
	// are logged, so that a flood of others costs no formatting.
	Line() Line
}

// Line is the line of an event in the log: a sentence, and fields.
type Line struct {
	Name   string // the field "event"; several types may have the same
	Level  slog.Level
	Text   string      // the sentence; it may contain newlines that it quotes
	Fields []slog.Attr // the fields after "event", without "omitted"
}

// limited is implemented by events that others can cause at any rate, so that their lines
// are limited.
type limited interface {
	// limit returns the class of events that the limit counts, and the access that has a
	// share of its own in it, or "" for none.
	limit() (class, string)
}

// A Record is an event as a consumer gets it.
type Record struct {
	Event Event
	Time  time.Time // of the dispatcher's clock
	// Logged is false if the limit for lines of this class and access is reached: the log
	// leaves the event out.
	Logged bool
	// Omitted is how many events of the same class and access were left out since the last
	// that was logged. It is 0 if Logged is false.
	Omitted int
}

// A Consumer gets every event, in the order of Emit.
type Consumer interface {
	// Consume is called by one goroutine at a time, with the Dispatcher's mutex held: it
	// must return at once, and must not call Emit, which would wait for that mutex. Async
	// stands in front of a consumer that may block.
	Consume(Record)
}
