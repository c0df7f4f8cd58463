package daemon

import (
	"time"

	"nftknock/pkg/event"
)

// Bounds of repairs: another process may undo each of them at once.
const (
	repairsPerSecond = 10
	repairBurst      = 20
	// repairPause is the time between a repair that failed and the next attempt.
	repairPause = time.Second
)

// repair repairs the table, or arranges for it if there were too many repairs lately.
func (k *keeper) repair() {
	k.again = nil
	if turn := k.repairs.Reserve(); turn.Delay() > 0 {
		k.again = time.After(turn.Delay())
		// Cancel gives the reserved turn back. The call that follows reserves one again;
		// if turns were kept, each change of the table would add to the delay.
		turn.Cancel()
		return
	}
	k.repairNow()
}

// repairNow repairs the table at once. It reports an error unless the last repair failed
// with the same.
func (k *keeper) repairNow() {
	if k.removed {
		return // by the daemon itself
	}
	table := k.plan().Ruleset.Table
	repaired, err := k.gate.Repair()
	k.owned.Store(k.gate.Owned())
	if err != nil {
		hides, meaning := hidesBy(k.plan().Policy), "services may be open to everyone"
		if hides.Elsewhere {
			meaning = "knocks may not be received"
		}
		k.router.wrong.set(conditionTable, "the table cannot be restored, so "+meaning+": "+err.Error())
		k.again = time.After(repairPause)
		if k.failure != err.Error() {
			k.failure = err.Error()
			k.events.Emit(event.RepairFailed{Table: table, Hides: hides, Err: err})
		}
		return
	}
	k.tableIsRight()
	if repaired {
		k.events.Emit(event.Repaired{Table: table})
	}
	k.noteTrouble()
}

// tableIsRight notes that the table was written or checked without an error.
func (k *keeper) tableIsRight() {
	k.failure = ""
	k.router.wrong.clear(conditionTable)
}
