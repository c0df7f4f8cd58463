// Package logger formats the daemon's log: as lines for people or as JSON for programs, with
// the priority of each line if the log goes to the journal.
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

// New makes the daemon's log in the format of the policy. It writes each record to w with one
// call of Write. The LevelVar changes the level while the log is in use.
//
// If standard error is connected to the journal, each line begins with its priority in the
// form of sd-daemon(3), such as "<3>" for an error, which the journal removes. Format "auto"
// is text; in the journal, it has no time, since the journal has its own.
func New(w io.Writer, c policy.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(Level(c.Level))
	// systemd sets it if standard output or standard error is connected to the journal: see
	// systemd.exec(5).
	journal := os.Getenv("JOURNAL_STREAM") != ""
	if c.Format == policy.LogJSON {
		return slog.New(newJSONHandler(w, level, journal)), level
	}
	return slog.New(&textHandler{
		out: &lockedWriter{w: w}, level: level, priority: journal,
		time: !journal || c.Format == policy.LogText,
	}), level
}

// LostLines returns a function that formats the line about a gap in a log of New. The line
// is valid until the next call. The function must not be called by several goroutines at the
// same time.
func LostLines(c policy.Log) func(logqueue.Gap) []byte {
	var line bytes.Buffer
	// To a buffer: the caller writes the line itself, in the place of the lost ones.
	log, _ := New(&line, c)
	return func(gap logqueue.Gap) []byte {
		line.Reset()
		event.Write(log, event.Record{Event: event.LogLost{Lines: gap.Lines, Err: gap.Err}, Time: time.Now()})
		return line.Bytes()
	}
}

// Level returns the slog.Level of a policy's log level.
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
