// Package knock recognises port knocks in a stream of packets: shared sequences,
// sealed messages (SIV, Ordered), one-time codes (TOTP) and single packets that
// carry an authorization (SPA).
//
// Each kind has a family in the engine, which holds the unfinished knocks of that
// kind, at most one per source and group: accesses whose packets go to the same
// ports are a group, and their keys tell them apart.
//
// The engine is pure: packets and their arrival times come in, verdicts go
// out. It has no clock, starts no goroutine, does no input or output and logs
// nothing. Once its tables have grown to what traffic needs, handling a packet
// allocates nothing unless it completes a knock that a key authenticates; its
// memory is bounded whatever arrives, and so is the work per second that keys
// may cost. An Engine belongs to one goroutine; several engines share nothing.
//
// The engine does not know whether a token was used before: it gives each with
// its verdict, and whoever grants must look it up in a store of spent tokens.
package knock

import (
	"fmt"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Config is what an Engine is made from.
type Config struct {
	Accesses []Access
	// Tripwires are ports whose touch voids the source's half-done shared
	// sequences.
	Tripwires []port.Range
	// MaxSources bounds the table of half-done shared sequences. A knock of
	// another kind takes more memory; their tables are smaller by that factor.
	MaxSources int
	// Fingerprints identifies operating systems; with nil none is identified,
	// and an access that requires one is an error.
	Fingerprints *p0f.Database
}

// Stats counts what an Engine did since it was made.
type Stats struct {
	Packets uint64 // that went to a knock port or tripwire
	Sources int    // half-done knocks now
	Evicted uint64 // half-done knocks that had to make room
	// Untried counts how often keys were left untried on what a source sent,
	// since the budget for them was used up.
	Untried uint64
}

// Engine recognises the knocks of one Config. It is for one goroutine at a time.
type Engine struct {
	db       *p0f.Database
	families []family // all of the next five
	shared   *sharedFamily
	siv      *sivFamily
	ordered  *orderedFamily
	totp     *totpFamily
	spa      *spaFamily
	spans    []span // of all families but shared
	work     *work
	epoch    time.Time // the first time seen
	stats    Stats
	// arrival is memory for the one that Handle and Flush pass on. A local
	// variable would be allocated per packet: it escapes through the calls of
	// interfaces.
	arrival arrival
}

// family recognises one kind of knock.
type family interface {
	// prepare is called once, when all accesses have joined.
	prepare()
	// expire ends up to n knocks whose time is over.
	expire(m *moment, n int)
	// flush ends all half-done knocks.
	flush(m *moment)
	// adopt takes over what the same family of another engine holds.
	// sameLabels says that both number labels alike.
	adopt(old family, sameLabels bool)
	// sources counts the half-done knocks.
	sources() int
}

// listener is a family whose knocks come to ranges of ports, by group.
type listener interface {
	// take handles a packet to a port of a group.
	take(group int, a *arrival)
}

// span is a range of ports that a group's packets go to.
type span struct {
	ports    port.Range
	listener listener
	group    int
}

// expiries is how many overdue knocks of each family a packet ends: more than it
// can begin, so that there are never many.
const expiries = 2

// New makes an engine with empty tables. The keys of the accesses are cloned or
// only read: one Config serves several engines. Its error names the access.
func New(c Config) (*Engine, error) {
	if c.MaxSources < 1 {
		return nil, fmt.Errorf("bad bound of %d half-done knocks: want 1 or more", c.MaxSources)
	}
	e := &Engine{db: c.Fingerprints, work: newWork(), arrival: arrival{db: c.Fingerprints}}
	// A half-done shared sequence of usual length takes a quarter of the memory
	// of the pairs of a code, and a sixteenth of that of the bytes of a message.
	room := max(c.MaxSources/16, 16)
	e.shared = newSharedFamily(e, c.MaxSources)
	e.siv = newSIVFamily(e, room)
	e.ordered = newOrderedFamily(e, room)
	e.totp = newTOTPFamily(e, 4*room)
	e.spa = newSPAFamily(e)
	e.families = []family{e.shared, e.siv, e.ordered, e.totp, e.spa}
	for i, a := range c.Accesses {
		if err := e.join(a, i); err != nil {
			return nil, fmt.Errorf("access %q: %w", a.Name, err)
		}
	}
	e.shared.addTripwires(c.Tripwires)
	for _, f := range e.families {
		f.prepare()
	}
	return e, nil
}

// join adds the access with an index.
func (e *Engine) join(a Access, index int) error {
	if isNil(a.Knock) {
		return errNoKind
	}
	r, err := newRule(a, index, e.db)
	if err != nil {
		return err
	}
	return a.Knock.join(e, r)
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Untried = e.Untried()
	for _, f := range e.families {
		s.Sources += f.sources()
	}
	return s
}

// Untried returns Stats().Untried without computing the rest.
func (e *Engine) Untried() uint64 { return e.work.untried }

// Handle takes a packet that arrived at a time and returns what it decided,
// usually nothing. The verdicts are valid until the next call of Handle or Flush.
// Times should not go backwards; where they do, what is remembered counts for that
// much longer. The packet is not used after the call.
func (e *Engine) Handle(at time.Time, p *packet.Packet) []Verdict {
	a := e.begin(at)
	// A mapped address is none that packets come from, and its key would be that
	// of the IPv4 address in it.
	if a.read(p) && !p.Src.Is4In6() && e.dispatch(a) {
		e.stats.Packets++
	}
	for _, f := range e.families {
		f.expire(&a.moment, expiries)
	}
	return a.verdicts
}

// dispatch passes a packet to every family that its port belongs to, and reports
// whether there was one.
func (e *Engine) dispatch(a *arrival) (touched bool) {
	if !a.payloadOnly {
		touched = e.shared.take(a)
	}
	for i := range e.spans {
		if s := &e.spans[i]; s.ports.Has(a.element.Protocol, a.element.First) {
			s.listener.take(s.group, a)
			touched = true
		}
	}
	return touched
}

// Flush ends all half-done knocks, as if nothing more could come. The verdicts
// are valid until the next call of Handle or Flush.
func (e *Engine) Flush(at time.Time) []Verdict {
	a := e.begin(at)
	for _, f := range e.families {
		f.flush(&a.moment)
	}
	return a.verdicts
}

// begin starts an arrival, or just a moment, without verdicts.
func (e *Engine) begin(at time.Time) *arrival {
	a := &e.arrival
	a.time, a.now = at, e.clock(at)
	a.verdicts = a.verdicts[:0]
	a.matched = false
	return a
}

// Adopt takes over the half-done knocks of an engine that this one replaces, of
// the accesses that both have. The old engine must not be used afterwards. Marks
// hold labels by number: where the databases number them otherwise, shared
// sequences that require an operating system are left, and the fingerprints of
// all other knocks are forgotten. Where there is no room for all knocks, the
// youngest are taken over.
func (e *Engine) Adopt(old *Engine) {
	e.epoch, *e.work = old.epoch, *old.work
	same := sameLabels(e.db, old.db)
	for i, f := range e.families {
		f.adopt(old.families[i], same)
	}
}

// clock turns a time into nanoseconds since the first one seen, by the
// monotonic clock where both have it.
func (e *Engine) clock(at time.Time) int64 {
	if e.epoch.IsZero() {
		e.epoch = at
	}
	return int64(at.Sub(e.epoch))
}
