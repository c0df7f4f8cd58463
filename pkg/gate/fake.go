package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Fake is a Gate in memory, for tests of what uses one. It behaves as Kernel
// does, errors included, by the clock it is given. Its methods may be called
// from several goroutines.
type Fake struct {
	table   string
	mode    OwnerMode
	now     func() time.Time
	changes chan struct{}

	mu      sync.Mutex
	applied *Ruleset // nil before Apply and after Remove
	flushed bool     // by someone else
	grants  *ledger
	closed  bool

	others   *fakeSets
	mirror   *mirror
	unsynced bool      // the targets may differ from the grants
	due      time.Time // when to look at the targets again; zero for never
	trouble  error
}

var _ Gate = (*Fake)(nil)

// NewFake returns a Fake without a table. With OwnerOn its tables are owned,
// otherwise they are not, as on a kernel before Linux 6.9.
func NewFake(c Config, now func() time.Time) (*Fake, error) {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if err := validateTable(c.Table); err != nil {
		return nil, err
	}
	others := &fakeSets{now: now, sets: make(map[SetName]*fakeSet)}
	return &Fake{
		table: c.Table, mode: c.Owner, now: now, changes: make(chan struct{}, 1), grants: newLedger(),
		others: others, mirror: newMirror(others, c.Table),
	}, nil
}

// Apply implements Gate.
func (f *Fake) Apply(r *Ruleset) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.table() != f.table {
		return errTable(r.table(), f.table)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("apply table inet %s: %w", f.table, os.ErrClosed)
	}
	if f.applied != nil {
		if err := checkChange(f.applied, r, f.others); err != nil {
			return fmt.Errorf("apply table inet %s: %w", f.table, err)
		}
	}
	applied := *r
	if f.flushed {
		f.grants.dropOnce()
	}
	f.applied, f.flushed = &applied, false
	f.followTargets()
	return nil
}

// Repair implements Gate.
func (f *Fake) Repair() (repaired bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.applied == nil {
		return false, fmt.Errorf("repair table inet %s: %w", f.table, f.ready())
	}
	if f.flushed {
		f.grants.dropOnce()
	}
	repaired, f.flushed = f.flushed, false
	f.syncTargets()
	return repaired, nil
}

// Changes implements Gate.
func (f *Fake) Changes() <-chan struct{} { return f.changes }

// Ruleset returns what was applied last, or nil while there is no table.
func (f *Fake) Ruleset() *Ruleset {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flushed {
		return nil
	}
	return f.applied
}

// Grant implements Gate.
func (f *Fake) Grant(g Grant) error {
	if err := g.Validate(); err != nil {
		return err
	}
	g = g.normal()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.grant(g); err != nil {
		return fmt.Errorf("grant %s to %s: %w", g.Service, g.Source, err)
	}
	return nil
}

func (f *Fake) grant(g Grant) error {
	if err := f.ready(); err != nil {
		return err
	}
	if !f.applied.takes(g) {
		return ErrNoRoom
	}
	needed, err := f.grants.needs(g, f.applied.openIndex(), f.applied.Quotas[g.Access], f.now())
	if err == nil && !needed && f.mirror.active() {
		_, err = f.mirror.target(familyOf(g.Source.Addr()))
	}
	if err != nil || !needed {
		return err
	}
	if _, running := f.grants.entries[g.element()]; !running && f.grants.bySet[grantSetOf(g.element())] >= MaxGrants {
		return errFull()
	}
	if err := f.grantInSet(g); err != nil {
		return err
	}
	f.grants.put(g, f.now())
	return nil
}

// Lasts implements Gate. Nothing but Revoke and Withdraw uses a grant of a Fake up.
func (f *Fake) Lasts(g Grant) (bool, error) {
	if err := g.Validate(); err != nil {
		return false, err
	}
	g = g.normal()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ready(); err != nil {
		return false, fmt.Errorf("look for the grant of %s to %s: %w", g.Service, g.Source, err)
	}
	f.grants.expire(f.now())
	d, ok := f.grants.entries[g.element()]
	return ok && d.grant.leadsWhere(g), nil
}

// Revoke implements Gate.
func (f *Fake) Revoke(from netip.Prefix, s port.Range) (ended []Grant, err error) {
	if err := errors.Join(validateRange(from), s.CheckService()); err != nil {
		return nil, err
	}
	from = normalSource(from)
	ended, err = f.end(func(l *ledger) []element { return l.within(from, s) })
	if err != nil {
		return nil, fmt.Errorf("revoke %s of %s: %w", s, wording.Prefix(from), err)
	}
	return ended, nil
}

// Withdraw implements Gate.
func (f *Fake) Withdraw(g Grant) error {
	if err := errors.Join(validateRange(g.Source), g.Service.CheckService()); err != nil {
		return err
	}
	g = g.normal()
	if _, err := f.end(func(l *ledger) []element { return l.only(g.element()) }); err != nil {
		return fmt.Errorf("withdraw %s of %s: %w", g.Service, wording.Prefix(g.Source), err)
	}
	return nil
}

func (f *Fake) end(pick func(*ledger) []element) ([]Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ready(); err != nil {
		return nil, err
	}
	now := f.now()
	f.grants.expire(now)
	elements := pick(f.grants)
	if len(elements) == 0 {
		return nil, ErrNoGrant
	}
	if err := f.mirrored(func() (mirrorChange, error) { return f.mirror.forEnd(elements, f.grants, now) }); err != nil {
		return nil, err
	}
	return f.grants.removeAll(elements, now), nil
}

// Connections implements Gate: a Fake has none.
func (f *Fake) Connections(from netip.Prefix, s port.Range) (*Connections, error) {
	if err := errors.Join(validateRange(from), s.CheckService()); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.applied == nil {
		return nil, fmt.Errorf("list connections of %s to %s: %w", wording.Prefix(from), s, ErrNoTable)
	}
	return &Connections{}, nil
}

// End implements Gate.
func (f *Fake) End(*Connections) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ready(); err != nil {
		return fmt.Errorf("end connections: %w", err)
	}
	return nil
}

// Grants implements Gate.
func (f *Fake) Grants() ([]Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ready(); err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	return f.grants.running(f.now()), nil
}

// Survey implements Gate.
func (f *Fake) Survey() ([]Grant, error) { return f.Grants() }

func (f *Fake) ready() error {
	switch {
	case f.closed:
		return os.ErrClosed
	case f.applied == nil, f.flushed:
		return ErrNoTable
	}
	return nil
}

// Owned implements Gate.
func (f *Fake) Owned() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.owned()
}

func (f *Fake) owned() bool { return f.mode == OwnerOn && f.applied != nil && !f.closed }

// Flush deletes the table behind the gate's back unless it is owned, as `nft
// flush ruleset` by another process does.
func (f *Fake) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.owned() || f.applied == nil || f.flushed {
		return
	}
	f.flushed = true
	signal(f.changes)
}

// Exists implements Gate.
func (f *Fake) Exists() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false, fmt.Errorf("look for table inet %s: %w", f.table, os.ErrClosed)
	}
	return f.applied != nil && !f.flushed, nil
}

// Remove implements Gate.
func (f *Fake) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("remove table inet %s: %w", f.table, os.ErrClosed)
	}
	f.leaveTargets(f.mirror.follow(&Ruleset{}))
	f.applied, f.flushed, f.trouble = nil, false, nil
	f.grants.clear()
	return nil
}

// Close implements Gate.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}
