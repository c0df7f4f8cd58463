package policy

import (
	"fmt"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
)

// An entry is an access and the table it was read from.
type entry struct {
	*Access
	table *table
	sound bool // no error was reported while it was read
}

// active reports whether rules that look at several accesses apply.
func (e entry) active() bool { return e.sound && e.Enabled }

// checkNames refuses the second of two accesses of one name, whether enabled
// or not: names stand in logs, metrics and commands.
func checkNames(entries []entry) {
	first := make(map[string]Pos)
	for _, e := range entries {
		if e.Name == "" {
			continue
		}
		if at, ok := first[e.Name]; ok {
			e.table.fail(e.table.valueAt("name"), fmt.Sprintf("name %s is already that of the access at %s", quote(e.Name), at), "every access needs a name of its own")
			continue
		}
		first[e.Name] = e.Pos
	}
}

// checkProtected refuses to open a port that some access knocks on: it could
// not both be hidden and look like any closed port of the host.
func checkProtected(entries []entry) {
	knockers := make(map[knock.Element]entry)
	for _, e := range entries {
		if !e.active() {
			continue
		}
		for _, el := range e.Sequence {
			if _, ok := knockers[el]; !ok {
				knockers[el] = e
			}
		}
	}
	for _, e := range entries {
		if !e.active() {
			continue
		}
		for i, s := range e.Open {
			if el, by, ok := knockedOn(s, knockers); ok {
				e.table.fail(e.table.itemAt("open", i), fmt.Sprintf("%s is also a knock port of access %q at %s", el, by.Name, by.Pos),
					"a port is either opened or knocked on")
			}
		}
	}
}

// knockedOn finds the first port of a service that is a knock port.
func knockedOn(s gate.Service, knockers map[knock.Element]entry) (knock.Element, entry, bool) {
	for port := int(s.First); port <= int(s.Last); port++ {
		el := knock.Element{Protocol: s.Protocol, Port: uint16(port)}
		if by, ok := knockers[el]; ok {
			return el, by, true
		}
	}
	return knock.Element{}, entry{}, false
}

// warnShared warns of sequences that one knock satisfies together: where one
// stands whole inside the other, whoever sends the longer one opens both.
// Accesses for different sources do not meet.
func warnShared(entries []entry) {
	bySequence := make(map[string][]int)
	for i, e := range entries {
		if e.active() {
			key := sequenceKey(e.Sequence)
			bySequence[key] = append(bySequence[key], i)
		}
	}
	for i, e := range entries {
		if !e.active() {
			continue
		}
		seen := make(map[string]bool)
		key := sequenceKey(e.Sequence)
		for from := 0; from < len(key); from += keySize {
			for to := from + keySize*knock.MinSequence; to <= len(key); to += keySize {
				part := key[from:to]
				if seen[part] {
					continue
				}
				seen[part] = true
				if j, ok := firstOverlap(entries, i, bySequence[part], part == key); ok {
					warnContained(e, entries[j], part == key)
				}
			}
		}
	}
}

// firstOverlap returns the first of candidates, other than i, for whose source
// the knock of i counts too. Of two equal sequences the later one warns.
func firstOverlap(entries []entry, i int, candidates []int, equal bool) (int, bool) {
	for _, j := range candidates {
		if j == i || equal && j > i {
			continue
		}
		if entries[i].Source.overlaps(entries[j].Source) {
			return j, true
		}
	}
	return 0, false
}

func warnContained(e, inner entry, equal bool) {
	message := fmt.Sprintf("this sequence contains that of access %q at %s", inner.Name, inner.Pos)
	if equal {
		message = fmt.Sprintf("this sequence is also that of access %q at %s", inner.Name, inner.Pos)
	}
	e.table.warn(e.table.valueAt("sequence"), message, "one knock opens both")
}

// keySize is the length of an element in a sequenceKey.
const keySize = 3

// sequenceKey writes a sequence so that its parts are parts of the string.
func sequenceKey(seq []knock.Element) string {
	b := make([]byte, 0, keySize*len(seq))
	for _, el := range seq {
		b = append(b, byte(el.Protocol), byte(el.Port>>8), byte(el.Port))
	}
	return string(b)
}

// ports returns the elements that have a port.
func ports(seq []knock.Element) []knock.Element {
	var out []knock.Element
	for _, el := range seq {
		if el.Protocol != packet.ICMP {
			out = append(out, el)
		}
	}
	return out
}
