package event

import "log/slog"

// Repaired: another process changed the table, and the daemon has restored it.
type Repaired struct{ Table string }

// Line implements Event.
func (e Repaired) Line() Line {
	return Line{"repaired", slog.LevelWarn,
		"table inet " + e.Table + " was changed by another process and is restored, running grants included", nil}
}

func (e Repaired) limit() (class, string) { return repairs, "" }

// RepairFailed: another process changed the table, and the daemon cannot restore it.
type RepairFailed struct {
	Table string
	Hides // what the table hides, if anything
	Err   error
}

// Line implements Event.
func (e RepairFailed) Line() Line {
	meaning := "services may be open to everyone"
	if !e.hides() {
		meaning = "knocks may not be received"
	}
	return Line{"repair_failed", slog.LevelError, meaning + ": cannot restore table inet " + e.Table +
		", which another process changed: " + e.Err.Error() + "; retrying every second",
		[]slog.Attr{reason(e.Err)}}
}

// SetsUnusable: a set of another table, which grants are to go into, is missing or cannot
// take them.
type SetsUnusable struct{ Err error }

// Line implements Event.
func (e SetsUnusable) Line() Line {
	return Line{"sets_unusable", slog.LevelError, "knocks are refused: " + e.Err.Error() +
		"; retrying every second", []slog.Attr{reason(e.Err)}}
}

func (e SetsUnusable) limit() (class, string) { return repairs, "" }

// SetsUsable: what SetsUnusable told of is right again.
type SetsUsable struct{}

// Line implements Event.
func (e SetsUsable) Line() Line {
	return Line{"sets", slog.LevelInfo, "the firewall's sets take grants again, running ones included", nil}
}

func (e SetsUsable) limit() (class, string) { return repairs, "" }

// NarrowFailed: running grants that the policy no longer allows could not all be listed,
// ended or replaced.
type NarrowFailed struct{ Err error }

// Line implements Event.
func (e NarrowFailed) Line() Line {
	return Line{"narrow_failed", slog.LevelError, "cannot end grants that the policy no longer allows: " + e.Err.Error() +
		"; their sources still have access; retrying every second", []slog.Attr{reason(e.Err)}}
}

func (e NarrowFailed) limit() (class, string) { return failures, "" }

// InterfaceProblem: an interface of the policy is not as its administrator may expect.
type InterfaceProblem struct {
	Interface string // its name
	Text      string // a sentence: the problem, its consequence, and what to do
	Harmless  bool   // nobody needs to do anything
}

// Line implements Event.
func (e InterfaceProblem) Line() Line {
	// The text names the interface, too, but programs should not have to search it.
	line := Line{"interfaces", slog.LevelWarn, e.Text, []slog.Attr{slog.String("interface", e.Interface)}}
	if e.Harmless {
		line.Level = slog.LevelInfo
	}
	return line
}

// InterfacesUnlisted: the host's interfaces cannot be listed, so that services are hidden on all
// interfaces but lo.
type InterfacesUnlisted struct {
	Err error
	// Retried says that the daemon tries again.
	Retried bool
}

// Line implements Event.
func (e InterfacesUnlisted) Line() Line {
	text := "cannot list interfaces, so services are hidden on all interfaces but lo: " + e.Err.Error() + "; restart the service to retry"
	if e.Retried {
		text = "services are hidden on all interfaces but lo until the interfaces can be listed: " + e.Err.Error()
	}
	return Line{"interfaces", slog.LevelWarn, text, []slog.Attr{reason(e.Err)}}
}

// InterfacesFailed: the host's interfaces changed, and the table cannot be updated for them.
type InterfacesFailed struct{ Err error }

// Line implements Event.
func (e InterfacesFailed) Line() Line {
	return Line{"interfaces_failed", slog.LevelError, "cannot update the table for the host's interfaces, which changed: " + e.Err.Error() +
		"; interfaces with new names are guarded, whether the policy lists them or not; retrying every second",
		[]slog.Attr{reason(e.Err)}}
}
