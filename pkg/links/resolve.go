package links

import (
	"slices"
	"strings"
)

// loopback is never guarded: users of this host reach its services.
const loopback = "lo"

// A Resolution says what is guarded now.
type Resolution struct {
	// Unguarded are the names of the interfaces that are not guarded, sorted.
	// "lo" is always among them. An interface that is not named here is
	// guarded, so that one which appears is, until Resolve has seen it.
	Unguarded []string
	// Problems are in the order in which the policy lists the names, those of
	// other names behind them.
	Problems []Problem
	// Memory is for the next call.
	Memory Memory
}

// Memory is what Resolve has to know from earlier calls. Nil is that of a
// daemon that has just started. It grows only when a guarded interface gets a
// name that it never had.
type Memory map[string]trace // by the name that the policy lists

// A trace is what was found by a listed name. That there is one means that the
// name has been seen.
type trace struct {
	indexes []int
	// names are others that those interfaces had. An interface that comes back
	// may have one of them before it has the listed name, or instead: udev
	// renames and adds alternative names after the interface has appeared.
	names []string
	// with are the indexes of all that was guarded because of the name.
	with []int
}

// Resolve decides which of the links are guarded, given the names that a
// policy lists, without duplicates. It changes none of its arguments; a caller
// that does not carry out the result may forget it.
//
// If nothing but the loopback interface is listed, all others are guarded.
// Otherwise guarded is:
//   - an interface that has a listed name, as its name or alternative name;
//   - one that was guarded by this rule earlier, whatever it is called now;
//   - one that has the name of such an interface;
//   - the master of a guarded interface, and all that a guarded master
//     consists of: their packets come from the master.
//
// As long as a listed name has never been seen, all interfaces but lo are
// guarded, so that a misspelt name opens nothing. When one that was seen is
// gone, all others stay as they are: a bond whose listed part is taken out for
// a moment stays guarded.
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

// withoutLoopback returns the names but those of the loopback interface.
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

// find returns the interfaces that have the listed name, and those that had it
// or are called as one that had it. Of the latter it leaves out those that the
// policy lists by another name.
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

// compare adds what is to be said about a listed name that was seen.
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

// next is the trace with what was found by the listed name this time. Indexes
// of interfaces that are gone are forgotten, since the kernel may give them to
// others.
func (t trace) next(name string, found, now []Link) trace {
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

// spread returns, of all interfaces that there are now, those with the indexes
// given, their masters, and what these consist of, at any depth. The parts of a
// VRF have to be guarded with it: packets pass prerouting with the part as
// input interface first, and destination NAT may then give them another port
// before they pass with the VRF.
func spread(indexes []int, now []Link) []int {
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

// release adds the interfaces that are not guarded, but those that a ruleset
// must not name.
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

// plain reports whether a name means the same in a ruleset as to the kernel,
// which allows nearly all bytes (dev_valid_name in net/core/dev.c). "e*" in a
// ruleset would be all names that begin with "e".
func plain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"*\`, r)
	})
}
