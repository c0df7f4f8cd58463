package event

import (
	"log/slog"

	"nftknock/pkg/wording"
)

// Lost: the kernel dropped packets, because they arrived faster than the daemon read them.
type Lost struct{ Packets uint64 } // since the last such event

// Line implements Event.
func (e Lost) Line() Line {
	return Line{"lost", slog.LevelWarn, wording.Count(int(e.Packets), "packet", "packets") + " lost: they arrived faster than the daemon read them; " +
		"a knock among them had no effect and must be sent again; if this continues without a flood, raise [nflog] workers",
		[]slog.Attr{slog.Uint64("packets", e.Packets)}}
}

// Overload: the CPU budget was exhausted, so that some knocks were not checked against every
// key.
type Overload struct{}

// Line implements Event.
func (Overload) Line() Line {
	return Line{"overload", slog.LevelWarn, "CPU budget exhausted: some knocks were not checked against every key; " +
		"a valid one among them opened nothing and must be sent again", nil}
}

// LogLost: lines of the log itself were lost. The writer of the log makes this event and
// writes its line with Write, in the place of the lost lines; it is not emitted.
type LogLost struct {
	Lines int
	Err   error // of the last write that failed; nil where the reader was too slow
}

// Line implements Event. The level is error, which every log level includes.
func (e LogLost) Line() Line {
	why := " lost because the reader of the log was too slow"
	if e.Err != nil {
		why = " lost: " + e.Err.Error()
	}
	return Line{"log_lost", slog.LevelError, wording.Count(e.Lines, "log line was", "log lines were") + why,
		[]slog.Attr{slog.Int("omitted", e.Lines)}}
}
