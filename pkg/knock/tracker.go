package knock

// tracker holds the half-done knocks of a family in a table of fixed size.
type tracker[S any] struct {
	engine *Engine
	table  *table[S]
	// patience is the longest time that a knock of the family may take. A knock
	// begun or, where every packet renews it, touched longer ago is overdue.
	patience int64
	// ended adds the verdict on a knock that is given up, if it deserves one.
	ended func(m *moment, n *pending[S], why Reason)
}

// knockOf returns the half-done knock of a packet's sender, an empty one if there is
// none, and makes it the youngest. A knock whose last packet came longer than limit
// ago is over: expire may not have reached it yet, so it is ended here, and none
// of its state is left for the next one.
func (t *tracker[S]) knockOf(a *arrival, group int, limit int64) *pending[S] {
	n := t.table.find(a.key(), group)
	if n != nil && a.now-n.since > limit {
		t.end(&a.moment, n, Incomplete)
		n = nil
	}
	if n == nil {
		return t.begin(a, group)
	}
	t.table.renew(n, a.now)
	return n
}

// begin makes an empty half-done knock of a packet's sender, at the expense of
// another if need be.
func (t *tracker[S]) begin(a *arrival, group int) *pending[S] {
	if t.table.full() {
		t.makeRoom(&a.moment)
	}
	return t.table.add(a.key(), a.packet.Src, group, a.now)
}

// makeRoom ends an overdue knock, or evicts one if none is.
func (t *tracker[S]) makeRoom(m *moment) {
	if oldest := t.table.oldest(); t.overdue(m, oldest) {
		t.end(m, oldest, Incomplete)
		return
	}
	t.engine.stats.Evicted++
	t.end(m, t.table.victim(), Evicted)
}

// overdue reports whether a knock is over in the slowest of groups.
func (t *tracker[S]) overdue(m *moment, n *pending[S]) bool { return m.now-n.since > t.patience }

// end gives up a knock.
func (t *tracker[S]) end(m *moment, n *pending[S], why Reason) {
	t.ended(m, n, why)
	t.table.remove(n)
}

func (t *tracker[S]) expire(m *moment, n int) {
	for ; n > 0; n-- {
		oldest := t.table.oldest()
		if oldest == nil || !t.overdue(m, oldest) {
			return
		}
		t.end(m, oldest, Incomplete)
	}
}

func (t *tracker[S]) flush(m *moment) {
	for n := t.table.oldest(); n != nil; n = t.table.oldest() {
		t.end(m, n, Incomplete)
	}
}

func (t *tracker[S]) sources() int { return t.table.len }

// adoptFrom takes over the knocks of another tracker. group maps its groups to those
// of this one, or to a negative number where there is none.
func (t *tracker[S]) adoptFrom(old *tracker[S], group func(int) int, copy func(to, from *S)) {
	// The oldest come first: the order of ages stays, and where there is no room for
	// all, it is they that make room.
	for n := range old.table.all() {
		if to := group(n.group); to >= 0 {
			copy(&t.table.adopt(n, to).state, &n.state)
		}
	}
}
