package policy

import (
	"fmt"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// warnLimits warns of accesses that will be used up: where nothing else opens one of their
// services then, and where everybody who has seen the knock can use them up.
func warnLimits(entries []entry) {
	lasting := lastingServices(entries)
	for _, e := range entries {
		if !e.active() || e.Limit == 0 {
			continue
		}
		t, knocks := e.table, wording.Count(e.Limit, "knock", "knocks")
		if s, ok := without(e.Open, lasting); ok {
			t.warn(t.valueAt("limit"), fmt.Sprintf("after %s this access refuses all, over restarts too, and no access without a limit or end opens %s then", knocks, s),
				"nothing resets the count, which is that of the access's name: raise limit or rename the access in time, or open the service in an access without limit as well")
			t.code(CodeLimit)
		}
		if e.Kind == KindShared {
			t.warn(t.valueAt("limit"), fmt.Sprintf("anybody who has seen this sequence can use up its %s and shut you out", knocks),
				"limit is for knocks with a key: want another kind of knock, or no limit")
			t.code(CodeLimit)
		}
	}
}

// lastingServices are those that accesses without a limit open.
func lastingServices(entries []entry) map[port.Range]bool {
	lasting := make(map[port.Range]bool)
	for _, e := range entries {
		if e.active() && e.Limit == 0 && e.Expires.IsZero() {
			for _, s := range e.Open {
				lasting[s] = true
			}
		}
	}
	return lasting
}

// without returns the first of some services that is not among others. A range counts as
// lasting only as a whole.
func without(services []port.Range, among map[port.Range]bool) (port.Range, bool) {
	for _, s := range services {
		if !among[s] {
			return s, true
		}
	}
	return port.Range{}, false
}
