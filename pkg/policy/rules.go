package policy

import (
	"fmt"

	"nftknock/pkg/knock"
	"nftknock/pkg/port"
)

// An entry is an access and the table it was read from.
type entry struct {
	*Access
	table *table
	sound bool // no error was reported while it was read
}

// active reports whether the rules that look at several accesses apply to this one.
func (e entry) active() bool { return e.sound && e.Enabled }

// checkNames refuses the second of two accesses of one name, whether enabled
// or not: names stand in logs, metrics and commands.
func checkNames(entries []entry) {
	first := make(map[string]Pos)
	for _, e := range entries {
		// One without a name was reported when it was read.
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

// warnShared warns of a sequence that contains that of another access as a whole: one
// knock then opens both. Accesses for different sources cannot be knocked at together.
func warnShared(entries []entry) {
	bySequence := sequences(entries)
	for i, e := range entries {
		if !e.active() {
			continue
		}
		seen := make(map[string]bool)
		// A sequence has 32 elements at most, so 500 parts: to look each of them up
		// takes time in proportion to the accesses, where pairs would take its square.
		key := sequenceKey(e.Sequence)
		for from := 0; from < len(key); from += keySize {
			for to := from + keySize*knock.MinSequence; to <= len(key); to += keySize {
				part := key[from:to]
				others, found := bySequence[part]
				if !found || seen[part] {
					continue
				}
				seen[part] = true
				if j, ok := overlapping(entries, i, others, part == key); ok {
					warnContained(e, entries[j], part == key)
				}
			}
		}
	}
}

// sequences returns, by sequenceKey, the accesses with that sequence, indexed by their
// sources.
func sequences(entries []entry) map[string]*sourceIndex {
	numbers := make(map[string][]int)
	for i, e := range entries {
		if e.active() && e.Kind == KindShared {
			key := sequenceKey(e.Sequence)
			numbers[key] = append(numbers[key], i)
		}
	}
	indexes := make(map[string]*sourceIndex, len(numbers))
	for key, n := range numbers {
		indexes[key] = newSourceIndex(n, func(i int) SourceFilter { return entries[i].Source })
	}
	return indexes
}

// overlapping returns one of others, but not i, that has sources in common with access
// i. Of two equal sequences only the later one finds the other, so that there is one
// warning.
func overlapping(entries []entry, i int, others *sourceIndex, equal bool) (int, bool) {
	return others.find(entries[i].Source, func(j int) bool {
		return j != i && (!equal || j < i) && entries[i].Source.overlaps(entries[j].Source)
	})
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
func sequenceKey(seq []port.Range) string {
	b := make([]byte, 0, keySize*len(seq))
	for _, el := range seq {
		// Elements are single ports or icmp, whose First and Last are the same.
		b = append(b, byte(el.Protocol), byte(el.First>>8), byte(el.First))
	}
	return string(b)
}
