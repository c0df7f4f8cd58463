package event

import (
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

// DiskSilent: the daemon stops although the store of spent tokens has not answered for all
// knocks.
type DiskSilent struct {
	Waited time.Duration // for the store of spent tokens
}

// Line implements Event.
func (e DiskSilent) Line() Line {
	return Line{"disk_silent", slog.LevelError, "the disk did not respond within " + wording.Duration(e.Waited) +
		": knocks that still wait to be recorded are dropped and open nothing", nil}
}
