package policy

import (
	"fmt"

	"nftknock/pkg/port"
)

// Warnings that depend on the host as it is now.

// warnSilent warns of services on which nothing listens: each once, where it is first
// opened. A nil map knows nothing.
func warnSilent(entries []entry, listening map[port.Range]bool) {
	if listening == nil {
		return
	}
	told := make(map[port.Range]bool)
	for _, e := range entries {
		if !e.active() {
			continue
		}
		for i, s := range e.Open {
			if told[s] {
				continue
			}
			told[s] = true
			if _, ok := firstInUse([]port.Range{s}, listening); ok {
				continue
			}
			e.table.warn(e.table.itemAt("open", i), fmt.Sprintf("nothing listens on %s here now", s),
				"is the port right? Sockets on loopback, services that start later and ports forwarded to a container or another host do not count")
			e.table.code(CodeHost)
		}
	}
}

// warnHide warns where a hidden port would be the only one that does not answer.
func warnHide(t *table, c NFTables, host Host) {
	if c.Mode != ModeGate || c.Hide != HideDrop || host.Unfiltered == nil || !host.Unfiltered(c.Table) {
		return
	}
	t.warn(t.valueAt("hide"), `no firewall of this host drops packets: with hide = "drop" the hidden ports are the only ones that do not answer, and a scan finds them`,
		`want hide = "reject", with which they look like the closed ports around them`)
	t.code(CodeHost)
}
