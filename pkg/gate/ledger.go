package gate

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"nftknock/pkg/port"
)

// ledger remembers grants and when they end: one entry for each element that
// the sets of grants hold, as far as we know. It counts the elements of each access
// and of each set.
type ledger struct {
	entries map[element]deadline
	ends    endings
	counts  map[account]int
	bySet   map[grantSet]int
}

// element identifies an element of the sets of grants.
type element struct {
	source  netip.Prefix
	service port.Range
	once    bool
}

// deadline is a grant and the moment at which it ends.
type deadline struct {
	grant Grant
	ends  time.Time
}

// account is what a quota is for.
type account struct {
	access string
	digit  string // of the family
}

func newLedger() *ledger {
	return &ledger{entries: make(map[element]deadline), counts: make(map[account]int), bySet: make(map[grantSet]int)}
}

func (l *ledger) clear() { *l = *newLedger() }

func accountOf(g Grant) account { return account{g.Access, familyOf(g.Source.Addr()).digit} }

// outlasts reports whether an element has more time left than a grant would
// have that was given at a moment.
func (l *ledger) outlasts(g Grant, now time.Time) bool {
	running, ok := l.entries[g.element()]
	return ok && running.ends.After(now.Add(g.Timeout)) && running.grant.leadsWhere(g)
}

// exceeds reports whether a grant would be one too many for its access.
func (l *ledger) exceeds(g Grant, quota int) bool {
	if running, ok := l.entries[g.element()]; ok && running.grant.Access == g.Access {
		return false
	}
	return quota > 0 && l.counts[accountOf(g)] >= quota
}

// needs reports whether a grant has to be given at all, beside what is running,
// or why it cannot: the ruleset has no set for it, or the access has used up its
// quota, 0 for none.
func (l *ledger) needs(g Grant, openings map[grantSet]bool, quota int, now time.Time) (needed bool, err error) {
	l.expire(now)
	switch {
	case !openings[grantSetOf(g.element())]:
		return false, ErrNoRoom
	// One that a connection uses up may be gone long before its time.
	case !g.Once && l.outlasts(g, now):
		return false, nil
	case l.exceeds(g, quota):
		return false, fmt.Errorf("%w (%d at once)", ErrQuota, quota)
	}
	return true, nil
}

// put enters a grant that was given at a moment, in place of another of the
// same element.
func (l *ledger) put(g Grant, now time.Time) {
	e, ends := g.element(), now.Add(g.Timeout)
	l.remove(e)
	l.entries[e] = deadline{g, ends}
	l.counts[accountOf(g)]++
	l.bySet[grantSetOf(e)]++
	heap.Push(&l.ends, ending{ends, e})
	// Each renewal leaves an ending that is void: they go when they are the most.
	if len(l.ends) > 2*len(l.entries)+64 {
		l.ends = slices.DeleteFunc(l.ends, func(x ending) bool { return !l.entries[x.element].ends.Equal(x.at) })
		heap.Init(&l.ends)
	}
}

// remove takes an element out, if it is there.
func (l *ledger) remove(e element) {
	running, ok := l.entries[e]
	if !ok {
		return
	}
	delete(l.entries, e)
	l.bySet[grantSetOf(e)]--
	a := accountOf(running.grant)
	if l.counts[a]--; l.counts[a] == 0 {
		delete(l.counts, a)
	}
}

// within returns the elements of sources within a prefix to services within a
// service.
func (l *ledger) within(source netip.Prefix, s port.Range) []element {
	var list []element
	for e := range l.entries {
		if source.Bits() <= e.source.Bits() && source.Overlaps(e.source) && s.Covers(e.service) {
			list = append(list, e)
		}
	}
	return list
}

// only is an element if it is there, as a list.
func (l *ledger) only(e element) []element {
	if _, ok := l.entries[e]; !ok {
		return nil
	}
	return []element{e}
}

// removeAll takes elements out, and returns their grants, with the time that was left,
// in the order of compareGrants.
func (l *ledger) removeAll(elements []element, now time.Time) []Grant {
	grants := make([]Grant, len(elements))
	for i, e := range elements {
		running := l.entries[e]
		grants[i] = running.grant
		grants[i].Remaining = running.ends.Sub(now)
		l.remove(e)
	}
	slices.SortFunc(grants, compareGrants)
	return grants
}

// grantSets are the sets that have elements.
func (l *ledger) grantSets() []grantSet {
	var list []grantSet
	for m, n := range l.bySet {
		if n > 0 {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b grantSet) int { return cmp.Compare(a.name(), b.name()) })
	return list
}

// dropOnce forgets the grants that a connection uses up. Only the table knows
// which of them were used, so that none outlives it.
func (l *ledger) dropOnce() {
	for e := range l.entries {
		if e.once {
			l.remove(e)
		}
	}
}

// expire takes out what has ended.
func (l *ledger) expire(now time.Time) {
	for len(l.ends) > 0 && !l.ends[0].at.After(now) {
		end := heap.Pop(&l.ends).(ending)
		if running, ok := l.entries[end.element]; ok && !running.ends.After(now) {
			l.remove(end.element)
		}
	}
}

// running lists what has not ended, with the time that is left, ordered by
// source, protocol and port.
func (l *ledger) running(now time.Time) []Grant {
	var list []Grant
	for d := range maps.Values(l.entries) {
		if d.ends.After(now) {
			g := d.grant
			g.Remaining = d.ends.Sub(now)
			list = append(list, g)
		}
	}
	slices.SortFunc(list, compareGrants)
	return list
}

// endings is a heap of moments at which elements end, the first on top. One
// whose element was given more time since is passed over.
type endings []ending

type ending struct {
	at      time.Time
	element element
}

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
