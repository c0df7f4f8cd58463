package knock

import (
	"net/netip"
	"slices"

	"nftknock/pkg/port"
)

// tracker holds the half-done knocks of a family in a table of fixed size.
type tracker[S any] struct {
	engine   *Engine
	table    *table[S]
	patience int64 // after which an untouched knock is dropped
	// drop says what is to be said of a knock that is given up.
	drop func(n *pending[S], why Reason)
}

// of gives the half-done knock of a packet's sender, an empty one if there is
// none yet, and makes it the youngest.
func (t *tracker[S]) of(source netip.Addr, group int, now int64) *pending[S] {
	n := t.table.find(sourceKey(source), group)
	if n == nil {
		return t.begin(source, group, now)
	}
	t.table.renew(n, now)
	return n
}

// begin makes an empty half-done knock, at the expense of another if need be.
func (t *tracker[S]) begin(source netip.Addr, group int, now int64) *pending[S] {
	if t.table.full() {
		t.engine.stats.Evicted++
		t.end(t.table.victim(), Evicted)
	}
	return t.table.add(sourceKey(source), source, group, now)
}

// end gives up a knock.
func (t *tracker[S]) end(n *pending[S], why Reason) {
	t.drop(n, why)
	t.table.remove(n)
}

func (t *tracker[S]) expire(now int64, n int) {
	for ; n > 0; n-- {
		oldest := t.table.oldest()
		if oldest == nil || now-oldest.since <= t.patience {
			return
		}
		t.end(oldest, Incomplete)
	}
}

func (t *tracker[S]) flush() {
	for n := t.table.oldest(); n != nil; n = t.table.oldest() {
		t.end(n, Incomplete)
	}
}

func (t *tracker[S]) sources() int { return t.table.len }

// adoptFrom takes over the knocks of another tracker. group tells which group here is
// that of one there, or a negative number for none.
func (t *tracker[S]) adoptFrom(old *tracker[S], group func(int) int, copy func(to, from *S)) {
	for n := range old.table.all() {
		if to := group(n.group); to >= 0 {
			copy(&t.table.adopt(n, to).state, &n.state)
		}
	}
}

// layouts are the ports of the groups of a family: accesses whose knocks go to
// the same ports are a group. The ranges of one group differ in protocol alone.
type layouts [][]port.Range

// group gives the place of the group with some ports, and adds it if it is new.
func (l *layouts) group(ports []port.Range) int {
	i := l.find(ports)
	if i < 0 {
		i = len(*l)
		*l = append(*l, ports)
	}
	return i
}

// find gives the place of the group with some ports, or -1.
func (l layouts) find(ports []port.Range) int {
	return slices.IndexFunc(l, func(of []port.Range) bool { return slices.Equal(of, ports) })
}

// offset is how far a port of a group is from the group's first.
func (l layouts) offset(group int, n uint16) int { return int(n - l[group][0].First) }

// listen has a family told of the packets to its groups.
func (l layouts) listen(e *Engine, family listener) {
	for i, ranges := range l {
		for _, r := range ranges {
			e.spans = append(e.spans, span{r, family, i})
		}
	}
}

// from tells which group of l is that of a group of old.
func (l layouts) from(old layouts) func(int) int {
	return func(group int) int { return l.find(old[group]) }
}

// sole is the access of a group that has one alone.
func sole[K interface{ place() int }](keys []K) int {
	if len(keys) == 1 {
		return keys[0].place()
	}
	return NoAccess
}
