package event

import (
	"context"
	"log/slog"
)

// log is the consumer that writes a line for each event that is logged.
type log struct{ to *slog.Logger }

// NewLog makes the consumer that writes the log. With a nil logger it does nothing. The
// logger's writer must not block, since Emit waits for it: see package logqueue.
func NewLog(to *slog.Logger) Consumer { return log{to} }

// Consume implements Consumer.
func (l log) Consume(r Record) {
	if l.to != nil && r.Logged {
		Write(l.to, r)
	}
}

// Write writes the line of an event, even if r.Logged is false.
func Write(to *slog.Logger, r Record) {
	line := r.Event.Line()
	ctx := context.Background()
	// slog.Logger does this before it calls Handle, which does not: see slog.Handler.
	if !to.Enabled(ctx, line.Level) {
		return
	}
	// A record of its own, because the methods of slog.Logger take the time from time.Now.
	// The last argument is the program counter of the source line, which no log prints.
	record := slog.NewRecord(r.Time, line.Level, line.Text, 0)
	record.AddAttrs(slog.String("event", line.Name))
	record.AddAttrs(line.Fields...)
	if r.Omitted > 0 {
		record.AddAttrs(slog.Int("omitted", r.Omitted))
	}
	// As in the methods of slog.Logger: an error of the log cannot be logged.
	_ = to.Handler().Handle(ctx, record)
}
