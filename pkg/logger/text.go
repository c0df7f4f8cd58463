package logger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// textHandler writes a record as a line for people: time, level unless it is info, the
// message, and the fields in brackets.
type textHandler struct {
	out      *lockedWriter
	level    slog.Leveler
	priority bool   // each line begins with its priority
	time     bool   // each line has its time
	fields   string // of WithAttrs, formatted
}

// lockedWriter is a writer that several handlers share: WithAttrs copies a handler.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Enabled implements slog.Handler.
func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler. It calls Write once per record.
func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if h.priority {
		b.WriteString(priority(r.Level))
	}
	if h.time {
		b.WriteString(r.Time.Format(time.RFC3339))
		b.WriteByte(' ')
	}
	if r.Level != slog.LevelInfo {
		b.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	b.WriteString(oneLine(r.Message))
	b.WriteString(" [")
	fields := h.fields
	r.Attrs(func(a slog.Attr) bool {
		fields += field(a)
		return true
	})
	b.WriteString(strings.TrimPrefix(fields, " "))
	b.WriteString("]\n")
	// Formatted before the lock: goroutines wait only for each other's Write.
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

// WithAttrs implements slog.Handler.
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	for _, a := range attrs {
		next.fields += field(a)
	}
	return &next
}

// WithGroup implements slog.Handler. It returns h, since this log has no groups.
func (h *textHandler) WithGroup(string) slog.Handler { return h }

// field formats a field, with quotes if its value would be ambiguous without them.
func field(a slog.Attr) string {
	// Resolve calls LogValue, by which package redact hides secrets.
	v := a.Value.Resolve().String()
	if v == "" || strings.ContainsAny(v, " \"=[]\n\r\t") {
		v = fmt.Sprintf("%q", v)
	}
	return " " + a.Key + "=" + v
}

// oneLine replaces the newlines of a message: a line of the log is one record.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
