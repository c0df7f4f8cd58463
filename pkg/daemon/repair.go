package daemon

import (
	"time"

	"nftknock/pkg/event"
)

// repairPause is how long after a repair that failed another one is tried.
const repairPause = time.Second

// repair puts the table back, within the rate that repairs allows: another process
// may undo each repair. Only a grant does not wait for its turn.
func (k *keeper) repair() {
	k.again = nil
	if turn := k.repairs.Reserve(); turn.Delay() > 0 {
		k.again = time.After(turn.Delay())
		turn.Cancel()
		return
	}
	k.putBack()
}

// putBack puts the table back now. The same failure is reported once.
func (k *keeper) putBack() {
	table := k.plan.Ruleset.Table
	repaired, err := k.gate.Repair()
	if err != nil {
		k.again = time.After(repairPause)
		if k.failure != err.Error() {
			k.failure = err.Error()
			k.events.Emit(event.RepairFailed{Table: table, Err: err})
		}
		return
	}
	k.failure = ""
	if repaired {
		k.events.Emit(event.Repaired{Table: table})
	}
}
