package gate

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Fake is a Gate in memory, for tests of what uses one. It behaves as Kernel
// does, errors included, by the clock it is given. Its methods may be called
// from several goroutines.
type Fake struct {
	table string
	mode  OwnerMode
	now   func() time.Time

	mu      sync.Mutex
	ruleset *Ruleset // nil while there is no table
	grants  map[element]deadline
	closed  bool
}

// element is the key of an element in a set of grants.
type element struct {
	source  netip.Addr
	service Service // of a single port
}

// deadline is a grant and the moment at which it ends.
type deadline struct {
	grant Grant
	ends  time.Time
}

var _ Gate = (*Fake)(nil)

// NewFake gives a Fake without a table. With OwnerOn its tables are owned,
// otherwise they are not, as on a kernel before Linux 6.9.
func NewFake(c Config, now func() time.Time) (*Fake, error) {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if err := validateTable(c.Table); err != nil {
		return nil, err
	}
	return &Fake{table: c.Table, mode: c.Owner, now: now}, nil
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
	applied := *r
	f.ruleset = &applied
	if f.grants == nil {
		f.grants = make(map[element]deadline)
	}
	return nil
}

// Ruleset gives what was applied last, or nil while there is no table.
func (f *Fake) Ruleset() *Ruleset {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ruleset
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
	ends := f.now().Add(g.Timeout)
	due := make(map[element]deadline)
	added := 0
	for n := range g.Service.Ports() {
		e := element{g.Source, g.Service.single(n)}
		running, ok := f.grants[e]
		if !ok {
			added++
		}
		if !ok || !running.ends.After(ends) {
			single := g
			single.Service = e.service
			due[e] = deadline{single, ends}
		}
	}
	if len(f.grants)+added > maxGrants && f.count(grantSet(g.Source))+added > maxGrants {
		return errFull()
	}
	maps.Copy(f.grants, due)
	return nil
}

// count is the number of elements in one of the sets of grants.
func (f *Fake) count(set string) int {
	f.expire()
	n := 0
	for e := range f.grants {
		if grantSet(e.source) == set {
			n++
		}
	}
	return n
}

// Revoke implements Gate.
func (f *Fake) Revoke(source netip.Addr, s Service) error {
	if err := validateSource(source); err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	source = source.Unmap()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.revoke(source, s); err != nil {
		return fmt.Errorf("revoke %s of %s: %w", s, source, err)
	}
	return nil
}

func (f *Fake) revoke(source netip.Addr, s Service) error {
	if err := f.ready(); err != nil {
		return err
	}
	f.expire()
	err := ErrNoGrant
	for e := range f.grants {
		if e.source == source && s.covers(e.service) {
			delete(f.grants, e)
			err = nil
		}
	}
	return err
}

// Grants implements Gate.
func (f *Fake) Grants() ([]Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ready(); err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	f.expire()
	var list []Grant
	for _, d := range f.grants {
		g := d.grant
		g.Remaining = d.ends.Sub(f.now())
		list = append(list, g)
	}
	slices.SortFunc(list, compareGrants)
	return list, nil
}

func (f *Fake) ready() error {
	switch {
	case f.closed:
		return os.ErrClosed
	case f.ruleset == nil:
		return ErrNoTable
	}
	return nil
}

// expire drops the grants whose time is over, as the kernel does by itself.
func (f *Fake) expire() {
	now := f.now()
	maps.DeleteFunc(f.grants, func(_ element, d deadline) bool { return !d.ends.After(now) })
}

// Owned implements Gate.
func (f *Fake) Owned() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.owned()
}

func (f *Fake) owned() bool { return f.mode == OwnerOn && f.ruleset != nil && !f.closed }

// Flush deletes the table behind the gate's back unless it is owned, as `nft
// flush ruleset` by another process does.
func (f *Fake) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.owned() {
		f.ruleset, f.grants = nil, nil
	}
}

// Remove implements Gate.
func (f *Fake) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("remove table inet %s: %w", f.table, os.ErrClosed)
	}
	f.ruleset, f.grants = nil, nil
	return nil
}

// Close implements Gate.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}
