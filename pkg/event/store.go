package event

import (
	"fmt"
	"log/slog"
	"time"

	"nftknock/pkg/wording"
)

// StoreUnavailable: the store of spent tokens cannot be opened.
type StoreUnavailable struct{ Err error }

// Line implements Event.
func (e StoreUnavailable) Line() Line {
	return Line{"store_unavailable", slog.LevelError,
		"replay store unavailable: refusing all keyed knocks and accesses with a limit: " + e.Err.Error(), []slog.Attr{reason(e.Err)}}
}

// StoreRecovered: the store of spent tokens works again, after StoreUnavailable or
// PruneFailed.
type StoreRecovered struct{}

// Line implements Event.
func (StoreRecovered) Line() Line {
	return Line{"store", slog.LevelInfo, "the replay store works again", nil}
}

// StoreRestored: the file of the store of spent tokens was deleted while in use, and the
// daemon has written it again.
type StoreRestored struct{ Path string }

// Line implements Event.
func (e StoreRestored) Line() Line {
	return Line{"store_restored", slog.LevelWarn,
		fmt.Sprintf("the replay store %q was deleted while in use, and is written again with all that was spent; to begin with an empty one, stop the daemon first", e.Path), nil}
}

// RefusedUnrecorded: the store of spent tokens could not record the token of a knock that was refused
// for another reason.
type RefusedUnrecorded struct {
	Knock
	Err error
}

// Line implements Event.
func (e RefusedUnrecorded) Line() Line {
	return Line{"refused_unrecorded", slog.LevelError, "cannot record the refused knock of " + e.Source.String() + ": " + e.Err.Error() +
		"; it is refused until the daemon ends, but whoever saw it can use it after a restart, if the policy allows it then",
		e.fields(reason(e.Err))}
}

func (e RefusedUnrecorded) limit() (class, string) { return failures, e.Access }

// PruneFailed: expired tokens cannot be deleted from the store of spent tokens.
type PruneFailed struct{ Err error }

// Line implements Event.
func (e PruneFailed) Line() Line {
	return Line{"prune_failed", slog.LevelError, "cannot prune the replay store: " + e.Err.Error() +
		"; it grows, and may refuse all keyed knocks: check the disk of [state] dir", []slog.Attr{reason(e.Err)}}
}

// StoreCloseFailed: the store of spent tokens could not be closed at the end.
type StoreCloseFailed struct{ Err error }

// Line implements Event.
func (e StoreCloseFailed) Line() Line {
	return Line{"store_close_failed", slog.LevelWarn, "cannot close the replay store: " + e.Err.Error() +
		"; knocks that were honoured are recorded all the same", []slog.Attr{reason(e.Err)}}
}

// DiskSilent: the daemon stops although the store of spent tokens has not answered for all knocks, or
// is not closed.
type DiskSilent struct {
	Waited time.Duration // for the store of spent tokens
	Knocks int           // that have no answer: some are refused, and none opens anything
}

// Line implements Event.
func (e DiskSilent) Line() Line {
	text := "the disk did not respond within " + wording.Duration(e.Waited)
	if e.Knocks == 0 {
		text += ": the replay store is not closed; no knock waits, and those that were honoured are recorded"
		return Line{"disk_silent", slog.LevelWarn, text, []slog.Attr{slog.Int("knocks", 0)}}
	}
	text += ": dropping " + wording.Count(e.Knocks, "knock", "knocks") + " not recorded yet; none opens anything now, " +
		"but whoever saw one can use it after a restart, if the policy allows it then"
	return Line{"disk_silent", slog.LevelError, text, []slog.Attr{slog.Int("knocks", e.Knocks)}}
}
