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

// textHandler writes an event as a line that a person can read: time, level
// if it is not the usual one, the sentence, and the fields in brackets.
type textHandler struct {
	out      *lockedWriter
	level    slog.Leveler
	priority bool // each line begins with its priority
	time     bool // and then its time
	fields   string
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

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
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	for _, a := range attrs {
		next.fields += field(a)
	}
	return &next
}

// WithGroup keeps fields flat: this log has no groups.
func (h *textHandler) WithGroup(string) slog.Handler { return h }

func field(a slog.Attr) string {
	v := a.Value.Resolve().String()
	if v == "" || strings.ContainsAny(v, " \"=[]\n\r\t") {
		v = fmt.Sprintf("%q", v)
	}
	return " " + a.Key + "=" + v
}

// oneLine keeps a message that quotes several lines on one.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
