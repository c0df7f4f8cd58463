package daemon

import (
	"time"

	"nftknock/pkg/event"
)

// noteTrouble tells when something begins to keep grants from taking effect although the
// table is there, and when nothing does any more. As long as it lasts, the gate is asked to
// repair every second. It runs after each Apply and Repair of the gate.
func (k *keeper) noteTrouble() {
	err := k.gate.Trouble()
	text := ""
	if err != nil {
		text = err.Error()
		if k.again == nil {
			k.again = time.After(repairPause)
		}
	}
	if text == k.trouble {
		return
	}
	k.trouble = text
	if err == nil {
		k.conditions.clear(conditionSets)
		k.events.Emit(event.SetsUsable{})
		return
	}
	e := event.SetsUnusable{Err: err}
	k.conditions.set(conditionSets, e.Line().Text)
	k.events.Emit(e)
}
