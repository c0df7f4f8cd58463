package daemon

import "time"

// repairPause is how long after a repair that failed another one is tried.
const repairPause = time.Second

// repair puts the table back. It does not do so more often than is good for
// the machine and for whoever reads the log; only a grant does not wait.
func (k *keeper) repair() {
	k.again = nil
	if turn := k.repairs.Reserve(); turn.Delay() > 0 {
		k.again = time.After(turn.Delay())
		turn.Cancel()
		return
	}
	k.putBack()
}

func (k *keeper) putBack() {
	repaired, err := k.gate.Repair()
	if err != nil {
		k.again = time.After(repairPause)
		if k.failure != err.Error() {
			k.failure = err.Error()
			k.log.Error("services may be open to everyone: "+k.failure, "event", "error")
		}
		return
	}
	k.failure = ""
	if !repaired {
		return
	}
	if fields, ok := k.putBacks.allow(time.Now(), []any{"event", "repaired"}); ok {
		k.log.Warn("table inet "+k.plan.Ruleset.Table+" was changed by another process and is put back, running grants included", fields...)
	}
}
