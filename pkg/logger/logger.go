// Package logger writes the daemon's log: lines for people, or JSON for programs,
// with the priority of each line where the journal reads it.
package logger

import (
	"bytes"

	"io"
	"log/slog"
	"os"

	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/logqueue"
	"nftknock/pkg/policy"
)

// New makes the daemon's log as the policy asks for it. Where standard error is
// connected to the journal, each line of any format begins with its priority in the
// form that sd-daemon(3) defines, "<3>" for an error, which the journal takes off.
// Format "auto" is text, without the time there, since the journal keeps it itself.
func New(w io.Writer, c policy.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(Level(c.Level))
	// systemd.exec(5): set when standard output or standard error is connected to the
	// journal.
	journal := os.Getenv("JOURNAL_STREAM") != ""
	if c.Format == policy.LogJSON {
		return slog.New(newJSONHandler(w, level, journal)), level
	}
	return slog.New(&textHandler{
		out: &lockedWriter{w: w}, level: level, priority: journal,
		time: !journal || c.Format == policy.LogText,
	}), level
}

// LostLines gives the line that stands, in a log of New, for others that are missing.
// It is for one goroutine.
func LostLines(c policy.Log) func(logqueue.Gap) []byte {
	var line bytes.Buffer
	log, _ := New(&line, c)
	return func(gap logqueue.Gap) []byte {
		line.Reset()
		event.Write(log, event.Record{Event: event.LogLost{Lines: gap.Lines, Err: gap.Err}, Time: time.Now()})
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
