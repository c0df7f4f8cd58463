package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"nftknock/pkg/logqueue"
	"nftknock/pkg/policy"
)

// NewLogger makes the daemon's log as the policy asks for it. Format "auto"
// is text: with the time in front on a terminal or in a file, with the
// priority that sd-daemon(3) defines under the journal, which keeps the time
// itself.
func NewLogger(w io.Writer, c policy.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(Level(c.Level))
	if c.Format == policy.LogJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), level
	}
	// systemd.exec(5): set when standard error is connected to the journal.
	journal := c.Format == policy.LogAuto && os.Getenv("JOURNAL_STREAM") != ""
	return slog.New(&textHandler{out: &lockedWriter{w: w}, level: level, journal: journal}), level
}

// LostLines gives the line that stands, in a log of NewLogger, for others that
// are missing. It is for one goroutine.
func LostLines(c policy.Log) func(logqueue.Gap) []byte {
	var line bytes.Buffer
	log, _ := NewLogger(&line, c)
	return func(gap logqueue.Gap) []byte {
		line.Reset()
		reason := " lost because whoever reads the log was too slow"
		if gap.Err != nil {
			reason = " lost: " + gap.Err.Error()
		}
		// An error, so that no level leaves it out.
		log.Error(count(gap.Lines, "log line was", "log lines were")+reason, "event", "log_lost", "omitted", gap.Lines)
		return line.Bytes()
	}
}

// Level is a policy's log level as slog has it.
func Level(l policy.LogLevel) slog.Level {
	switch l {
	case policy.LevelDebug:
		return slog.LevelDebug
	case policy.LevelWarn:
		return slog.LevelWarn
	case policy.LevelError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// textHandler writes an event as a line that a person can read: time, level
// if it is not the usual one, the sentence, and the fields in brackets.
type textHandler struct {
	out     *lockedWriter
	level   slog.Leveler
	journal bool
	fields  string
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	if h.journal {
		fmt.Fprintf(&b, "<%d>", priority(r.Level))
	} else {
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

// priority is a level as syslog(3) numbers it.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
