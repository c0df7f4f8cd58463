package event

import (
	"log/slog"

	"nftknock/pkg/wording"
)

// Lost: packets came faster than they were read.
type Lost struct{ Packets uint64 } // since the last such event

// Line implements Event.
func (e Lost) Line() Line {
	return Line{"lost", slog.LevelWarn, wording.Count(int(e.Packets), "packet", "packets") + " lost: they arrived faster than the daemon read them; " +
		"a knock among them had no effect and must be sent again; if this continues without a flood, raise [nflog] workers",
		[]slog.Attr{slog.Uint64("packets", e.Packets)}}
}

// Overload: there was not enough time to look at all that came.
type Overload struct{}

// Line implements Event.
func (Overload) Line() Line {
	return Line{"overload", slog.LevelWarn, "CPU budget exhausted: some knocks were not checked against every key", nil}
}

// LogLost: the log itself lacks lines. It is for whoever writes the log, since no
// event that is emitted can say it in their place.
type LogLost struct {
	Lines int
	Err   error // of the last write that failed; nil where the reader was too slow
}

// Line implements Event. The level is that of an error, so that no setting leaves it
// out.
func (e LogLost) Line() Line {
	why := " lost because the reader of the log was too slow"
	if e.Err != nil {
		why = " lost: " + e.Err.Error()
	}
	return Line{"log_lost", slog.LevelError, wording.Count(e.Lines, "log line was", "log lines were") + why,
		[]slog.Attr{slog.Int("omitted", e.Lines)}}
}
