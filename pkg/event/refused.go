package event

import (
	"log/slog"
	"time"
)

// Refused: a knock, or the part of it that arrived, opens nothing.
type Refused struct {
	Knock
	Code   Code
	Reason string // Code in words, with details of the knock
	Step   int    // packets of the knock that have arrived, without repetitions

	OS         string // of the sender of the last packet; empty if unknown
	OSRequired string // as the policy writes it; empty if it requires none

	// Authenticated says that a key decrypted the knock, or that a code was right. The
	// owner of the key has made the knock, but anyone who saw it may have sent it. User and
	// Clock are set only then.
	Authenticated bool
	User          string
	Clock         time.Duration // how far the sender's clock is ahead of this host's
}

// Line implements Event.
func (e Refused) Line() Line {
	line := Line{"refused", slog.LevelInfo, e.text(), e.fields(
		slog.String("reason", e.Reason), slog.String("code", string(e.Code)), slog.Int("step", e.Step))}
	// Every port scan that meets a knock port causes these.
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

// text is the sentence of the line.
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

// stray reports whether the knock is a single packet to a port of a shared sequence, which
// most likely was no knock at all.
func (e Refused) stray() bool { return e.Step < 2 && e.Kind == KindShared }

func (e Refused) limit() (class, string) {
	if e.stray() {
		return strays, e.Access
	}
	return refusals, e.Access
}
