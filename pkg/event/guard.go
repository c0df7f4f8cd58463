package event

import (
	"log/slog"
	"net/netip"
	"time"
)

// GuardBegun: a policy is in force on trial.
type GuardBegun struct {
	Until time.Time
	First bool // there is no earlier policy to go back to
}

// Line implements Event.
func (e GuardBegun) Line() Line {
	until := e.Until.UTC().Format(time.RFC3339)
	end := "the policy before it"
	if e.First {
		end = "hiding nothing"
	}
	return Line{"guard_begun", slog.LevelWarn, "the policy is on trial until " + until + "; without a knock that is granted or \"nftknockd confirm\" the daemon then goes back to " + end,
		[]slog.Attr{slog.String("until", until)}}
}

// GuardConfirmed: the policy on trial stays.
type GuardConfirmed struct {
	// Source sent the knock that confirmed the policy, and Access is what it opened. With the
	// zero Source a command confirmed it.
	Source netip.Addr
	Access string
}

// By says who confirmed the policy.
func (e GuardConfirmed) By() string {
	if e.Source.IsValid() {
		return "a knock of " + e.Source.String()
	}
	return "command"
}

// Line implements Event.
func (e GuardConfirmed) Line() Line {
	line := Line{"guard_confirmed", slog.LevelInfo, "the policy on trial is confirmed by " + e.By(), nil}
	if e.Source.IsValid() {
		line.Fields = []slog.Attr{slog.String("src", e.Source.String()), slog.String("access", e.Access)}
	}
	return line
}

// GuardUndone: the policy on trial is not in force any more.
type GuardUndone struct {
	// Why is empty if nobody confirmed it in time.
	Why   string
	First bool // the table was removed, and the daemon ends
}

// Line implements Event.
func (e GuardUndone) Line() Line {
	why := e.Why
	if why == "" {
		why = "nobody confirmed it in time"
	}
	text := "the policy on trial is undone: " + why
	if e.First {
		text += "; the table is removed, nothing is hidden, and the daemon ends; to try again, run \"nftknockd setup\""
	} else {
		text += "; the policy before it is in force again, the one in the files is not; correct the files and reload"
	}
	return Line{"guard_undone", slog.LevelWarn, text, []slog.Attr{slog.String("reason", why)}}
}

// GuardUndoFailed: the policy on trial was to be undone, which failed.
type GuardUndoFailed struct{ Err error }

// Line implements Event.
func (e GuardUndoFailed) Line() Line {
	return Line{"guard_undo_failed", slog.LevelError, "the policy on trial is still in force, although nobody confirmed it, because it cannot be undone: " +
		e.Err.Error() + "; retrying every second", []slog.Attr{reason(e.Err)}}
}

// GuardNoteFailed: the policy is confirmed, but the state directory still says that it is on
// trial.
type GuardNoteFailed struct{ Err error }

// Line implements Event.
func (e GuardNoteFailed) Line() Line {
	return Line{"guard_note_failed", slog.LevelError, "the confirmed policy is in force, but a daemon that starts will not run it: " + e.Err.Error() +
		"; correct that and reload", []slog.Attr{reason(e.Err)}}
}
