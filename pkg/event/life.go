package event

import (
	"fmt"
	"log/slog"

	"nftknock/pkg/wording"
)

// Watch has the fields of events about the start and the reload of the daemon.
type Watch struct {
	Table       string
	First, Last uint16 // NFLOG groups
	Accesses    int
}

func (w Watch) line(name string) Line {
	groups := fmt.Sprint("group ", w.First)
	if w.Last != w.First {
		groups = fmt.Sprint("groups ", w.First, " to ", w.Last)
	}
	text := fmt.Sprintf("%s: table inet %s, NFLOG %s, %s", name, w.Table, groups, wording.Count(w.Accesses, "access", "accesses"))
	return Line{name, slog.LevelInfo, text, []slog.Attr{slog.Int("accesses", w.Accesses)}}
}

// Ready: the daemon has started, and honours knocks from now on.
type Ready struct{ Watch }

// Line implements Event.
func (e Ready) Line() Line { return e.line("ready") }

// Reloaded: the policy was read again and is in force.
type Reloaded struct{ Watch }

// Line implements Event.
func (e Reloaded) Line() Line { return e.line("reloaded") }

// NoLongerHidden: a change of the policy has opened something to everyone.
type NoLongerHidden struct{ Text string }

// Line implements Event.
func (e NoLongerHidden) Line() Line {
	return Line{"no_longer_hidden", slog.LevelWarn, e.Text, nil}
}

// OldTableRemoved: a start has removed the table that the policy before had.
type OldTableRemoved struct{ Table string }

// Line implements Event.
func (e OldTableRemoved) Line() Line {
	return Line{"old_table_removed", slog.LevelInfo, "table inet " + e.Table + " of the policy before is removed, and the grants in it have ended", nil}
}

// OldTableStays: a start could not remove the table that the policy before had.
type OldTableStays struct {
	Table string
	Err   error
}

// Line implements Event.
func (e OldTableStays) Line() Line {
	return Line{"old_table_stays", slog.LevelWarn, fmt.Sprintf("table inet %s of the policy before stays, and no knock opens what it hides: %v; to remove it: nft delete table inet %s", e.Table, e.Err, e.Table),
		[]slog.Attr{reason(e.Err)}}
}

// ReloadFailed: the policy was to be read again, which failed. The old policy is in force.
type ReloadFailed struct{ Err error }

// Line implements Event.
func (e ReloadFailed) Line() Line {
	return Line{"reload", slog.LevelError, "reload failed, the old policy remains in force: " + e.Err.Error(), []slog.Attr{reason(e.Err)}}
}

// Stopped: the daemon has ended after it was ready, or was told to end before that.
type Stopped struct{ Hides }

// Line implements Event.
func (e Stopped) Line() Line {
	hidden := ""
	if e.hides() {
		hidden = "services stay hidden, "
	}
	return Line{"stopped", slog.LevelInfo, "stopped; " + hidden + "running grants end at their time; \"nftknockd uninstall\" removes the table", nil}
}

// ControlFailed: the control socket cannot be opened, or does not work any more.
type ControlFailed struct{ Err error }

// Line implements Event.
func (e ControlFailed) Line() Line {
	return Line{"control_failed", slog.LevelError, "the control socket does not work: " + e.Err.Error() +
		"; knocks are honoured as before, but commands such as revoke do not reach the daemon; it is tried again every few seconds",
		[]slog.Attr{reason(e.Err)}}
}

// NFLogCloseFailed: an NFLOG group could not be closed at the end.
type NFLogCloseFailed struct {
	Group uint16
	Err   error
}

// Line implements Event.
func (e NFLogCloseFailed) Line() Line {
	return Line{"nflog_close_failed", slog.LevelWarn, fmt.Sprintf("cannot close NFLOG group %d: %v", e.Group, e.Err) +
		"; the kernel closes it when the daemon has ended", []slog.Attr{reason(e.Err), slog.Int("group", int(e.Group))}}
}
