package logger

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// priority is a level in front of a line, as sd-daemon(3) has it: numbered as by
// syslog(3).
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

// newJSONHandler writes a JSON object per line, behind its priority for the journal.
func newJSONHandler(w io.Writer, level slog.Leveler, journal bool) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if !journal {
		return slog.NewJSONHandler(w, options)
	}
	out := &prefixWriter{to: w}
	return &prioritized{slog.NewJSONHandler(out, options), out}
}

// prioritized is a handler that has each line begin with its priority.
type prioritized struct {
	slog.Handler
	out *prefixWriter
}

// prefixWriter puts a prefix before what it writes, in one call of the writer below:
// log lines are not torn apart.
type prefixWriter struct {
	mu     sync.Mutex // held from setting the prefix to writing it
	to     io.Writer
	prefix string
	buf    bytes.Buffer
}

func (w *prefixWriter) Write(line []byte) (int, error) {
	w.buf.Reset()
	w.buf.WriteString(w.prefix)
	w.buf.Write(line)
	if _, err := w.to.Write(w.buf.Bytes()); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (h *prioritized) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.prefix = priority(r.Level)
	return h.Handler.Handle(ctx, r) // slog's handler calls Write once per record
}

func (h *prioritized) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &prioritized{h.Handler.WithAttrs(attrs), h.out}
}

func (h *prioritized) WithGroup(name string) slog.Handler {
	return &prioritized{h.Handler.WithGroup(name), h.out}
}
