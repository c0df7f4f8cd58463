package daemon

import (
	"log/slog"

	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

// recorder is the queue to the disk. The keeper submits knocks that must be
// recorded before they may open anything, or because they must never open
// anything, and gets them back with the store's answer.
type recorder = spent.Queue[record]

// record is a knock on its way to the disk.
type record struct {
	decision
	access *policy.Access // nil for a knock that is refused already
}

func newRecorder(log *slog.Logger) *recorder {
	return spent.NewQueue[record](func(err error) {
		if err == nil {
			log.Info("the store of spent tokens works again", "event", "store")
			return
		}
		log.Error(err.Error(), "event", "error")
	})
}
