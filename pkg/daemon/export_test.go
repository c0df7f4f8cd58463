package daemon

import (
	"log/slog"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
)

// DecideAfterReload has a keeper act on a verdict of one plan when the table
// follows another already.
func DecideAfterReload(log *slog.Logger, g gate.Gate, before, after *Plan, v knock.Verdict) {
	k := newKeeper(g, log, before, newRecorder(log), nil)
	if err := k.apply(after, nil); err != nil {
		panic("daemon: " + err.Error())
	}
	k.decide(decision{before, v})
}
