package policy

import (
	"fmt"
	"math/bits"
	"strconv"

	"nftknock/pkg/gate"
	"nftknock/pkg/invalid"
	"nftknock/pkg/wording"
)

// What goes with a mode, and what does not.

// readMode reads the mode and the keys that belong to one mode alone.
func readMode(t *table, c *NFTables) {
	choice(t, "mode", &c.Mode, words[Mode]{known: []Mode{ModeGate, ModeSet, ModeMark}})
	parsed(t, "set4", &c.Set4, gate.ParseSetName)
	parsed(t, "set6", &c.Set6, gate.ParseSetName)
	parsed(t, "mark", &c.Mark, parseMark)
	for key, mode := range map[string]Mode{"set4": ModeSet, "set6": ModeSet, "mark": ModeMark} {
		if t.has(key) && c.Mode != mode {
			t.warn(t.keyAt(key), fmt.Sprintf("%s has no effect with mode = %q", key, c.Mode), fmt.Sprintf("it is for mode = %q", mode))
		}
	}
	switch c.Mode {
	case ModeSet:
		checkSets(t, c)
	case ModeMark:
		if !t.has("mark") {
			t.fail(t.keyAt("mode"), `mode = "mark" needs a mark`, `want mark = "0x10000", or another bit that nothing else on this host uses`)
		}
	}
	if c.Mode != ModeGate {
		checkUnhidden(t, c.Mode)
	}
}

// parseMark reads a bit of the packet mark.
func parseMark(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil || bits.OnesCount64(n) != 1 {
		return 0, invalid.Newf(`one bit of 32, such as "0x10000"`, "bad mark %s", quote(s))
	}
	return uint32(n), nil
}

// checkSets looks at what the sets have to do with each other.
func checkSets(t *table, c *NFTables) {
	ours := func(n gate.SetName) bool {
		return n.Family == "inet" && n.Table == c.Table
	}
	none := gate.SetName{}
	switch {
	case !t.has("set4") && !t.has("set6"):
		t.fail(t.keyAt("mode"), `mode = "set" needs a set to grant into`, `want set4 = "inet filter ssh_clients", and set6 for IPv6`)
		return
	case c.Set4 != none && c.Set4 == c.Set6:
		t.fail(t.valueAt("set6"), "set6 is the same as set4", "a set has addresses of one IP version: want another one")
		return
	case !t.has("set6"):
		t.warn(t.keyAt("set4"), "there is no set6: knocks over IPv6 are refused", "")
	case !t.has("set4"):
		t.warn(t.keyAt("set6"), "there is no set4: knocks over IPv4 are refused", "")
	}
	for key, s := range map[string]struct {
		name  gate.SetName
		other string
	}{"set4": {c.Set4, "ip6"}, "set6": {c.Set6, "ip"}} {
		switch {
		case ours(s.name):
			t.fail(t.valueAt(key), key+" is in the daemon's own table", "want a set of another table, which your firewall defines")
		case s.name.Family == s.other:
			t.fail(t.valueAt(key), fmt.Sprintf("%s is in a table of family %s, which sees no such packets", key, s.name.Family), `want one of family "inet", for example`)
		}
	}
}

// checkUnhidden refuses, or warns of, what only ModeGate has: a service that the policy
// seems to hide and that is open would be found by others first.
func checkUnhidden(t *table, m Mode) {
	because := fmt.Sprintf("mode = %q hides nothing: your firewall does", m)
	if list, ok := t.values["protect"].([]any); ok && len(list) > 0 {
		t.fail(t.keyAt("protect"), "protect has no effect, as "+because, "remove it, and have your firewall drop what goes to these ports")
	}
	if t.has("hide") {
		t.warn(t.keyAt("hide"), "hide has no effect, as "+because, "")
	}
	if t.has("label") && m == ModeSet {
		t.warn(t.keyAt("label"), `label has no effect with mode = "set"`, "")
	}
}

// checkMode refuses accesses that ask for what sets of others cannot do.
func checkMode(entries []entry, m Mode) {
	if m != ModeSet {
		return
	}
	for _, e := range entries {
		if !e.active() {
			continue
		}
		t := e.table
		if e.SingleUse {
			t.fail(t.keyAt("single_use"), `single_use does not go with mode = "set"`, "only the daemon's own rules can end a grant with the first connection: remove it, or use another mode")
		}
		if list, ok := t.values["forward"].([]any); ok && len(list) > 0 {
			t.fail(t.keyAt("forward"), `forward does not go with mode = "set"`, "with it the daemon's table only logs: remove it, or use another mode")
		}
		for key, length := range map[string]int{"prefix4": e.Prefix4, "prefix6": e.Prefix6} {
			if length != 0 {
				t.fail(t.keyAt(key), key+` does not go with mode = "set"`, "the sets take single addresses: remove it, or use another mode")
			}
		}
		for i, s := range e.Open {
			if n := s.Ports(); n > gate.MaxSetPorts {
				t.fail(t.itemAt("open", i), fmt.Sprintf(`%s has %s, each of which takes an element with mode = "set"`, s, wording.Count(n, "port", "ports")),
					fmt.Sprintf("want %d at most", gate.MaxSetPorts))
			}
		}
	}
}
