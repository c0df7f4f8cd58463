package event

import (
	"context"
	"log/slog"
)

// log writes the line of each event that is told.
type log struct{ to *slog.Logger }

// NewLog makes the consumer that writes the log; one with a nil logger does
// nothing. The logger's writer must not block: see package logqueue.
func NewLog(to *slog.Logger) Consumer { return log{to} }

// Consume implements Consumer.
func (l log) Consume(r Record) {
	if l.to != nil && r.Told {
		Write(l.to, r)
	}
}

// Write writes the line of an event, whether it is told or not.
func Write(to *slog.Logger, r Record) {
	line := r.Event.Line()
	ctx := context.Background()
	if !to.Enabled(ctx, line.Level) {
		return
	}
	record := slog.NewRecord(r.Time, line.Level, line.Text, 0)
	record.AddAttrs(slog.String("event", line.Name))
	record.AddAttrs(line.Fields...)
	if r.Omitted > 0 {
		record.AddAttrs(slog.Int("omitted", r.Omitted))
	}
	// As with the methods of slog.Logger, there is nobody to tell of a failure.
	_ = to.Handler().Handle(ctx, record)
}
