package gate

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
)

// A mirror makes the sets of other tables, the targets of ModeSet, follow our own table.
// That still has an element for each grant: it says who is in, by which access and to what,
// and what of that an earlier process granted. The keys of a target may say less, so that
// an element there may stand for several grants; it has the time of the one that
// ends last.
//
// Ours among the elements of a target are those with a timeout and a comment that begins
// with the name of our table. No other is changed or deleted: it lets its source pass by
// itself, and where it ends before the grant does, ours follows.
//
// An element of ours that is missing is put back, for the time that the grant has left, if
// the target is another one of the same name: then a firewall was loaded anew. From the same
// target somebody has deleted it, which ends the grants that it stood for.
type mirror struct {
	world  targetSets
	prefix string                  // of our comments
	names  map[string]SetName      // of the targets, by the digit of the family
	quotas int                     // the sum of all quotas
	placed map[mirrorKey]placement // our elements in the targets, as far as we know
}

// targetSets is where the targets are: in the kernel, or in a Fake.
type targetSets interface {
	// target reads what a set is; the error is ErrTarget if it takes no grants.
	target(SetName, family) (target, error)
	// find returns those elements of a target that have one of some keys, by their keys.
	find(t target, keys []string) (map[string]theirElement, error)
	// list returns all elements of a target, by their keys.
	list(target) (map[string]theirElement, error)
}

// mirrorKey identifies an element of the targets.
type mirrorKey struct {
	digit string // of the family
	key   string
}

// placement is an element that we put into a target.
type placement struct {
	in      targetID
	ends    time.Time
	account account // of the grant that it was put there for
}

// wish is what a target should have by a key.
type wish struct {
	ends     time.Time
	grant    Grant     // the one that ends last
	elements []element // of all grants that the element stands for
}

// mirrorChange is what has to be done to the targets.
type mirrorChange struct {
	elements []elementChange
	placed   map[mirrorKey]placement // known after it; one without a target is gone
	due      time.Time               // when an element of others' ends before the grant does
}

func newMirror(world targetSets, table string) *mirror {
	return &mirror{world: world, prefix: table + ": ", placed: make(map[mirrorKey]placement)}
}

// follow makes the sets of a ruleset the targets, and returns those that are none any more.
func (m *mirror) follow(r *Ruleset) (before map[string]SetName) {
	before = m.names
	m.names = make(map[string]SetName)
	m.quotas = 0
	for _, q := range r.Quotas {
		m.quotas += q
	}
	for _, f := range families() {
		n := r.target(f)
		if r.Mode == ModeSet && n != (SetName{}) {
			m.names[f.digit] = n
		}
		if before[f.digit] == n {
			delete(before, f.digit)
		}
	}
	return before
}

// active reports whether there are targets.
func (m *mirror) active() bool { return len(m.names) > 0 }

// setNames lists the targets.
func (m *mirror) setNames() []SetName {
	var list []SetName
	for _, f := range families() {
		if n, ok := m.names[f.digit]; ok {
			list = append(list, n)
		}
	}
	return list
}

// errNoSet is the error for a grant to an address of a family for which there is no target.
func errNoSet(f family) error {
	return fmt.Errorf("%w: the policy names no set for %s ([nftables] set%s)", ErrNoRoom, f.title(), f.digit)
}

func (m *mirror) target(f family) (target, error) {
	n, ok := m.names[f.digit]
	if !ok {
		return target{}, errNoSet(f)
	}
	return m.world.target(n, f)
}

// ours reports whether an element of a target is one that we put there.
func (m *mirror) ours(e theirElement) bool { return e.timed && strings.HasPrefix(e.comment, m.prefix) }

// mirrored reports whether the grant of an element of our table belongs into a target.
// Others may run on after a ruleset of another mode.
func mirrored(e element) bool {
	return !e.once && e.source.IsSingleIP() && e.service.Ports() <= MaxSetPorts
}

// forGrant returns what a grant needs, within the share that its access has of a target
// whose size is bounded.
func (m *mirror) forGrant(g Grant, quota int, now time.Time) (mirrorChange, error) {
	f := familyOf(g.Source.Addr())
	t, err := m.target(f)
	if err != nil {
		return mirrorChange{}, err
	}
	keys := t.keys(g.element())
	found, err := m.world.find(t, keys)
	if err != nil {
		return mirrorChange{}, err
	}
	c, w := newMirrorChange(), wish{ends: now.Add(g.Timeout), grant: g}
	added := 0
	for _, key := range keys {
		at := mirrorKey{f.digit, key}
		e, there := found[key]
		before, placed := m.placed[at]
		switch {
		case there && !m.ours(e):
			c.leave(at, e, w.ends, now)
		case there && placed && before.in == t.id && before.ends.After(w.ends):
			// Another grant lets the source pass for longer.
		default:
			if !placed || before.account != accountOf(g) {
				added++
			}
			c.put(t, at, w, m.element(key, w, now))
		}
	}
	if share := m.share(t, quota); share > 0 && added > 0 {
		m.forgetEnded(now)
		if m.count(t, accountOf(g))+added > share {
			return mirrorChange{}, fmt.Errorf("%w (%d elements at once in set %s)", ErrQuota, share, t.name)
		}
	}
	return c, nil
}

// share is how many elements of a target an access with a quota may have, 0 for any number:
// a target may have room for fewer than our own sets, and takes an element per port.
func (m *mirror) share(t target, quota int) int {
	if t.size == 0 || quota == 0 {
		return 0
	}
	return max(1, int(int64(t.size)*int64(quota)/int64(m.quotas)))
}

// count is how many elements of a target an account has.
func (m *mirror) count(t target, a account) int {
	n := 0
	for _, p := range m.placed {
		if p.account == a && p.in == t.id {
			n++
		}
	}
	return n
}

func (m *mirror) forgetEnded(now time.Time) {
	for at, p := range m.placed {
		if !p.ends.After(now) {
			delete(m.placed, at)
		}
	}
}

// forEnd returns what the end of some grants of a ledger needs. A target that is not there,
// or takes no grants, has none of theirs.
func (m *mirror) forEnd(ends []element, l *ledger, now time.Time) (mirrorChange, error) {
	c := newMirrorChange()
	for _, f := range families() {
		t, err := m.target(f)
		if errors.Is(err, ErrTarget) || errors.Is(err, ErrNoRoom) {
			continue
		}
		if err != nil {
			return c, err
		}
		keys := keysIn(t, ends)
		found, err := m.find(t, keys)
		if err != nil {
			return c, err
		}
		rest := wishes(t, l, ends)
		for _, key := range keys {
			at := mirrorKey{f.digit, key}
			e, there := found[key]
			w, wanted := rest[key]
			switch {
			case !there || !m.ours(e):
				c.forget(at)
			case !wanted:
				c.forget(at)
				c.change(t, remove, nftables.SetElement{Key: []byte(key)})
			case now.Add(e.left).After(w.ends.Add(tolerance)):
				c.put(t, at, w, m.element(key, w, now))
			}
		}
	}
	return c, nil
}

// keysIn are the keys of some grants in a target, each once.
func keysIn(t target, elements []element) []string {
	var keys []string
	for _, e := range elements {
		if mirrored(e) && familyOf(e.source.Addr()) == t.key.family {
			keys = append(keys, t.keys(e)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// manyKeys is the number of keys from which it is quicker to list a set than to ask for
// each of them.
const manyKeys = 64

func (m *mirror) find(t target, keys []string) (map[string]theirElement, error) {
	switch {
	case len(keys) == 0:
		return nil, nil
	case len(keys) > manyKeys:
		return m.world.list(t)
	}
	return m.world.find(t, keys)
}

// wishes are what a target should have for the grants of a ledger. Without is a list of
// grants that do not count; if there is one, only the sources in it do.
func wishes(t target, l *ledger, without []element) map[string]wish {
	ending := make(map[element]bool)
	sources := make(map[netip.Prefix]bool)
	for _, e := range without {
		ending[e], sources[e.source] = true, true
	}
	list := make(map[string]wish)
	for e, d := range l.entries {
		if ending[e] || !mirrored(e) || familyOf(e.source.Addr()) != t.key.family || without != nil && !sources[e.source] {
			continue
		}
		for _, key := range t.keys(e) {
			w := list[key]
			w.elements = append(w.elements, e)
			if d.ends.After(w.ends) {
				w.ends, w.grant = d.ends, d.grant
			}
			list[key] = w
		}
	}
	return list
}

// tolerance is by how much the end of an element may differ from that of its grant before
// it is put right: the kernel counts in milliseconds, and from a little later on.
const tolerance = time.Second

// troubles returns what keeps the targets from taking grants; err is any other error.
func (m *mirror) troubles() (trouble, err error) {
	for _, f := range families() {
		_, err := m.target(f)
		switch {
		case err == nil, errors.Is(err, ErrNoRoom):
		case errors.Is(err, ErrTarget):
			trouble = alsoError(trouble, err)
		default:
			return nil, err
		}
	}
	return trouble, nil
}

// sameTrouble reports whether nothing has changed since some trouble was found, so that the
// targets need not be listed.
func (m *mirror) sameTrouble(before error) bool {
	now, err := m.troubles()
	return err == nil && now != nil && before != nil && now.Error() == before.Error()
}

// all returns what makes the targets follow a ledger, those of its grants that ended because
// somebody deleted their elements, and what keeps targets from taking grants. err is any
// other error.
func (m *mirror) all(l *ledger, now time.Time) (c mirrorChange, deleted []element, trouble, err error) {
	c = newMirrorChange()
	for _, f := range families() {
		t, err := m.target(f)
		switch {
		case errors.Is(err, ErrNoRoom):
			continue
		case errors.Is(err, ErrTarget):
			trouble = alsoError(trouble, err)
			continue
		case err != nil:
			return c, nil, nil, err
		}
		list, err := m.world.list(t)
		if err != nil {
			return c, nil, nil, err
		}
		deleted = append(deleted, m.compare(&c, sight{t, list, wishes(t, l, nil), now})...)
	}
	// What is not known from here on is gone.
	for at := range m.placed {
		if _, known := c.placed[at]; !known {
			c.forget(at)
		}
	}
	return c, deleted, trouble, nil
}

// alsoError joins two errors, either of which may be nil, in one line.
func alsoError(a, b error) error {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return fmt.Errorf("%w; %w", a, b)
}

// sight is what a target has at a moment, and what it should have.
type sight struct {
	target target
	list   map[string]theirElement
	wishes map[string]wish
	now    time.Time
}

// compare adds to a change what a target needs, and returns the grants whose elements
// somebody deleted.
func (m *mirror) compare(c *mirrorChange, s sight) (deleted []element) {
	for key, e := range s.list {
		if _, wanted := s.wishes[key]; !wanted && m.ours(e) {
			c.change(s.target, remove, nftables.SetElement{Key: []byte(key)})
		}
	}
	for key, w := range s.wishes {
		at := mirrorKey{s.target.key.family.digit, key}
		e, there := s.list[key]
		before, placed := m.placed[at]
		switch {
		case there && !m.ours(e):
			c.leave(at, e, w.ends, s.now)
		case there && s.now.Add(e.left).Sub(w.ends).Abs() <= tolerance:
			c.placed[at] = placement{s.target.id, w.ends, accountOf(w.grant)}
		case !there && !w.ends.After(s.now.Add(tolerance)):
			// It ends at this moment.
		case !there && placed && before.in == s.target.id:
			deleted = append(deleted, w.elements...)
		default:
			c.put(s.target, at, w, m.element(key, w, s.now))
		}
	}
	return deleted
}

// leaving returns what removes our elements from a set that is no target any more.
func (m *mirror) leaving(n SetName, f family) (mirrorChange, error) {
	c := newMirrorChange()
	t, err := m.world.target(n, f)
	if errors.Is(err, ErrTarget) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	list, err := m.world.list(t)
	if err != nil {
		return c, err
	}
	for key, e := range list {
		if m.ours(e) {
			c.change(t, remove, nftables.SetElement{Key: []byte(key)})
		}
	}
	return c, nil
}

// element is the element of a target for a wish.
func (m *mirror) element(key string, w wish, now time.Time) nftables.SetElement {
	// The kernel counts milliseconds, and reads 0 as no timeout.
	left := max(w.ends.Sub(now).Truncate(time.Millisecond), time.Millisecond)
	return nftables.SetElement{Key: []byte(key), Timeout: left, Comment: printable(m.prefix + w.grant.comment())}
}

// carriedOut notes that a change was made.
func (m *mirror) carriedOut(c mirrorChange) {
	for at, p := range c.placed {
		if p.in == (targetID{}) {
			delete(m.placed, at)
		} else {
			m.placed[at] = p
		}
	}
}

func newMirrorChange() mirrorChange { return mirrorChange{placed: make(map[mirrorKey]placement)} }

// put gives a target an element of ours, in place of one of ours that is there.
func (c *mirrorChange) put(t target, at mirrorKey, w wish, e nftables.SetElement) {
	c.change(t, renew, e)
	c.placed[at] = placement{t.id, w.ends, accountOf(w.grant)}
}

// leave leaves an element of others' alone, which lets the source of a grant pass.
func (c *mirrorChange) leave(at mirrorKey, e theirElement, ends, now time.Time) {
	c.forget(at)
	if gone := now.Add(e.left); e.timed && gone.Before(ends) && (c.due.IsZero() || gone.Before(c.due)) {
		c.due = gone
	}
}

func (c *mirrorChange) forget(at mirrorKey) { c.placed[at] = placement{} }

// change adds a change of one element.
func (c *mirrorChange) change(t target, a action, e nftables.SetElement) {
	i := slices.IndexFunc(c.elements, func(have elementChange) bool {
		return have.action == a && have.set.Name == t.name.Name && *have.set.Table == *t.name.table().netlink(0)
	})
	if i < 0 {
		c.elements = append(c.elements, elementChange{set: t.netlink(), action: a})
		i = len(c.elements) - 1
	}
	c.elements[i].elements = append(c.elements[i].elements, e)
}
