package links

import (
	"slices"
	"strings"
)

// loopback is the name of the loopback interface, which is never guarded, so that users
// of this host can reach its services.
const loopback = "lo"

// A Resolution is the result of Resolve.
type Resolution struct {
	// Unguarded are the names of the interfaces that are not guarded, sorted.
	// "lo" is always among them. All other interfaces are guarded, also those
	// that appear after the call.
	Unguarded []string
	// Problems are in the order in which the policy lists the names. Those of
	// interfaces that are not listed follow.
	Problems []Problem
	// Memory is the argument for the next call.
	Memory Memory
}

// Memory is what Resolve needs to know from earlier calls. A daemon that has just
// started passes nil. Memory grows only when a guarded interface gets a name that no
// guarded interface had before.
type Memory map[string]trace // by listed name

// A trace holds the interfaces that were found for a listed name. A name without a
// trace has never been seen.
type trace struct {
	indexes []int
	// names are other names that these interfaces had. An interface that is removed
	// and added again may have one of them before or instead of the listed name: udev
	// renames it and adds alternative names after it has appeared.
	names []string
	// with are the indexes of all interfaces that are guarded because of the name.
	with []int
}

// Resolve decides which of the links are guarded. listed has the names in the policy,
// without duplicates. Resolve changes none of its arguments; a caller that does not
// apply the result passes the same Memory again.
//
// If no interface except for the loopback interface is listed, all others are guarded.
// Otherwise these are guarded:
//   - an interface that has a listed name, as its name or alternative name;
//   - an interface that was guarded by this rule earlier, whatever its name is now;
//   - an interface that has a name of such an interface;
//   - the master of a guarded interface, and all interfaces that have a guarded
//     master, since their packets have the master as input interface.
//
// As long as a listed name has never been seen, all interfaces except for lo are
// guarded, so that a misspelt name does not expose the host. When the interface of a
// name that was seen is removed, all others stay as they are: a bond stays guarded while
// its listed part is removed for a moment.
func Resolve(listed []string, now []Link, before Memory) Resolution {
	r := Resolution{Memory: make(Memory), Unguarded: []string{loopback}}
	names := r.withoutLoopback(listed, now)
	guarded, all := make(map[int]bool), len(names) == 0
	for _, name := range names {
		t, seen := before[name]
		named, moved := t.find(name, names, now)
		if !seen && len(named) == 0 {
			r.add(Problem{Kind: Missing, Interface: name})
			all = true
			continue
		}
		r.compare(name, named, moved)
		t = t.next(name, append(named, moved...), now)
		r.Memory[name] = t
		for _, index := range t.with {
			guarded[index] = true
		}
	}
	if !all {
		r.release(guarded, now)
	}
	return r
}

// withoutLoopback returns the names without those of the loopback interface.
func (r *Resolution) withoutLoopback(listed []string, now []Link) []string {
	var names []string
	for _, name := range listed {
		if name == loopback || slices.ContainsFunc(now, func(l Link) bool { return l.Name == loopback && l.goesBy(name) }) {
			r.add(Problem{Kind: Loopback, Interface: name})
			continue
		}
		names = append(names, name)
	}
	return names
}

// find returns the interfaces that have the listed name, and those that moved: that had
// the name before, or have a name of an interface that had it. Interfaces that the
// policy lists by another name have not moved.
func (t trace) find(name string, listed []string, now []Link) (named, moved []Link) {
	for _, l := range now {
		switch {
		case l.Name == loopback:
		case l.goesBy(name):
			named = append(named, l)
		case slices.ContainsFunc(listed, l.goesBy):
		case slices.Contains(t.indexes, l.Index) || slices.Contains(t.names, l.Name):
			moved = append(moved, l)
		}
	}
	return named, moved
}

// compare adds the problems of a listed name that has been seen.
func (r *Resolution) compare(name string, named, moved []Link) {
	if len(named) == 0 && len(moved) == 0 {
		r.add(Problem{Kind: Gone, Interface: name})
	}
	kind := Renamed
	if len(named) > 0 {
		kind = Taken
	}
	for _, l := range moved {
		r.add(Problem{Kind: kind, Interface: name, Now: l.Name})
	}
}

func (r *Resolution) add(p Problem) { r.Problems = append(r.Problems, p) }

// next returns the trace for the next call; found are the interfaces that were found for
// the name this time.
func (t trace) next(name string, found, now []Link) trace {
	// Indexes of interfaces that do not exist any more are dropped: a new interface
	// can have any index (dev_index_reserve in net/core/dev.c).
	n := trace{names: slices.Clone(t.names)}
	for _, l := range found {
		n.indexes = append(n.indexes, l.Index)
		if l.Name != name && !slices.Contains(n.names, l.Name) {
			n.names = append(n.names, l.Name)
		}
	}
	n.with = spread(n.indexes, now)
	if len(found) == 0 {
		n.with = spread(t.with, now)
	}
	return n
}

// spread returns the indexes of those interfaces of now that are in indexes, of their
// masters, and of all interfaces with these masters, at any depth.
func spread(indexes []int, now []Link) []int {
	// The parts of a VRF must be guarded with it: packets pass prerouting with the
	// part as input interface first, and destination NAT may change their port there
	// before they pass it with the VRF.
	in := make(map[int]bool)
	for _, index := range indexes {
		in[index] = true
	}
	for changed := true; changed; {
		changed = false
		for _, l := range now {
			if l.Master != 0 && in[l.Index] != in[l.Master] {
				in[l.Index], in[l.Master], changed = true, true, true
			}
		}
	}
	var found []int
	for _, l := range now {
		if in[l.Index] {
			found = append(found, l.Index)
		}
	}
	return found
}

// release adds the interfaces that are not guarded to Unguarded, except for those whose
// name a ruleset cannot hold.
func (r *Resolution) release(guarded map[int]bool, now []Link) {
	for _, l := range now {
		switch {
		case guarded[l.Index] || l.Name == loopback:
		case plain(l.Name):
			r.Unguarded = append(r.Unguarded, l.Name)
		default:
			r.add(Problem{Kind: Odd, Interface: l.Name})
		}
	}
	slices.Sort(r.Unguarded)
}

// plain reports whether a name can stand in a ruleset. The kernel allows nearly all bytes
// in a name (dev_valid_name in net/core/dev.c), but "e*" in a ruleset stands for all
// names that begin with "e".
func plain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"*\`, r)
	})
}
