package logger

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// priority is the prefix of a line that gives its level to the journal: a number of syslog(3)
// in the form of sd-daemon(3).
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// newJSONHandler makes a handler that writes a JSON object per line, after its priority if the
// log goes to the journal.
func newJSONHandler(w io.Writer, level slog.Leveler, journal bool) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if !journal {
		return slog.NewJSONHandler(w, options)
	}
	out := &prefixWriter{to: w}
	return &prioritized{slog.NewJSONHandler(out, options), out}
}

// prioritized is a handler whose lines begin with their priority. Handler writes to out.
type prioritized struct {
	slog.Handler
	out *prefixWriter
}

// prefixWriter writes a prefix before each line. It writes both with one call of the
// underlying writer: package logqueue takes one call as one line.
type prefixWriter struct {
	mu     sync.Mutex // held from setting the prefix to writing it
	to     io.Writer
	prefix string
	buf    bytes.Buffer
}

// Write is called with mu held.
func (w *prefixWriter) Write(line []byte) (int, error) {
	w.buf.Reset()
	w.buf.WriteString(w.prefix)
	w.buf.Write(line)
	if _, err := w.to.Write(w.buf.Bytes()); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Handle implements slog.Handler.
func (h *prioritized) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.prefix = priority(r.Level)
	// slog.JSONHandler promises one Write per record, in this goroutine: the prefix belongs
	// to this line.
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler. The embedded method would lose the priority.
func (h *prioritized) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &prioritized{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup implements slog.Handler.
func (h *prioritized) WithGroup(name string) slog.Handler {
	return &prioritized{h.Handler.WithGroup(name), h.out}
}
