package event

import (
	"log/slog"
	"time"
)

// Refused: a knock, or what had come of it, opens nothing.
type Refused struct {
	Knock
	Code   Code
	Reason string // what the log says: the words for Code, with what is known besides
	Step   int    // packets of the knock that had arrived, without repetitions

	OS         string // of the packet that decided; empty where none was told
	OSRequired string // as the policy writes it; empty where none is

	// Authenticated says that a key opened the knock or a code was right, so that
	// it is not made by just anybody: but whoever saw it can send it again. User
	// and Clock are meaningful only then.
	Authenticated bool
	User          string
	Clock         time.Duration // of the sender, ahead of ours
}

// Line implements Event.
func (e Refused) Line() Line {
	line := Line{"refused", slog.LevelInfo, e.text(), e.fields(
		slog.String("reason", e.Reason), slog.String("code", string(e.Code)), slog.Int("step", e.Step))}
	if e.stray() {
		line.Level = slog.LevelDebug
	}
	if e.OSRequired != "" {
		line.Fields = append(line.Fields, slog.String("os", e.OS), slog.String("os_required", e.OSRequired))
	}
	if e.Authenticated {
		line.Fields = append(line.Fields, slog.String("user", e.User), slog.Float64("clock_difference_s", e.Clock.Seconds()))
	}
	return line
}

func (e Refused) text() string {
	if e.Code != CodeWrongOS {
		return e.Kind.noun() + " refused for " + e.Source.String() + ": " + e.Reason
	}
	os := e.OS
	if os == "" {
		os = "unknown"
	}
	return "OS guess: " + os + " not accepted for " + e.Source.String() + ", required: " + e.OSRequired
}

// stray reports whether the knock is a single packet that was most likely no part
// of one.
func (e Refused) stray() bool { return e.Step < 2 && e.Kind == KindShared }

func (e Refused) limit() (class, string) {
	if e.stray() {
		return strays, e.Access
	}
	return refusals, e.Access
}
