package daemon

import "time"

// repairPause is how long after a repair that failed another one is tried.
const repairPause = time.Second

// changed hears of a change that another process made to the table.
func (k *keeper) changed(heard bool) {
	if !heard {
		k.changes = nil
		k.log.Error("changes of the table by other processes are no longer heard of: restart the service", "event", "error")
		return
	}
	k.repair()
}

// repair puts the table back. It does not do so more often than is good for
// the machine, and for a log that is read.
func (k *keeper) repair() {
	k.again = nil
	if turn := k.repairs.Reserve(); turn.Delay() > 0 {
		k.again = time.After(turn.Delay())
		turn.Cancel()
		return
	}
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
	if repaired {
		k.log.Warn("table inet "+k.plan.Ruleset.Table+" was changed by another process and is put back, running grants included",
			"event", "repaired")
	}
}
