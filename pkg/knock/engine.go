// Package knock recognises port knocks in a stream of packets: shared
// sequences, sealed ones, one-time codes and single packets that carry an
// authorization (SPA).
//
// The engine is pure: packets and their arrival times come in, verdicts go
// out. It has no clock, starts no goroutine, does no input or output and logs
// nothing. Once its tables have grown to what traffic needs, handling a packet
// allocates nothing unless it completes a knock that a key authenticates; its
// memory is bounded whatever arrives, and so is the work a second that keys
// may cost. An Engine belongs to one goroutine; several engines share nothing.
//
// Whether a token was used before is not for the engine to know: it hands
// out each with its verdict, and who grants must ask a store of spent ones.
package knock

import (
	"errors"
	"fmt"
	"net/netip"
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
	// MaxSources bounds the table of half-done shared sequences. Knocks of
	// other kinds take more room each; their tables are smaller by that.
	MaxSources int
	// Fingerprints tells operating systems; nil leaves them untold.
	Fingerprints *p0f.Database
}

// Stats counts what an Engine did since it was made.
type Stats struct {
	Packets uint64 // that touched a knock port or tripwire
	Sources int    // half-done knocks now
	Evicted uint64 // half-done knocks that had to make room
	// Untried counts how often keys were left untried on what a source sent:
	// more came than the engine gives time to.
	Untried uint64
}

// Engine watches for the knocks of one Config.
type Engine struct {
	db       *p0f.Database
	families []family // all of the next five
	shared   *sequences
	lanes    *lanes
	streams  *streams
	codes    *codes
	spa      *datagrams
	spans    []span // of all families but shared
	work     *work
	epoch    time.Time
	at       time.Time // of the packet in hand
	stats    Stats
	verdicts []Verdict
}

// family is what the engine knows of one kind of knock.
type family interface {
	// expire ends up to n knocks whose time has run out.
	expire(now int64, n int)
	// flush ends all half-done knocks.
	flush()
	// adopt takes over what the same family of another engine holds.
	// sameLabels says that both number labels alike.
	adopt(old family, sameLabels bool)
	// sources counts the half-done knocks.
	sources() int
	// prepare is called once, when all accesses have joined.
	prepare()
}

// listener is a family whose knocks come to ranges of ports. Those that come
// to the same are a group.
type listener interface {
	// take handles a packet to a port of a group.
	take(group int, el port.Range, p *packet.Packet, now int64)
}

// span is a range of ports on which a group listens.
type span struct {
	ports    port.Range
	listener listener
	group    int
}

// New makes an engine with empty tables. The keys of the accesses are cloned:
// one Config serves several engines.
func New(c Config) (*Engine, error) {
	if c.MaxSources < 1 {
		return nil, fmt.Errorf("bad bound of %d half-done knocks: want 1 or more", c.MaxSources)
	}
	e := &Engine{db: c.Fingerprints, work: newWork()}
	// A half-done shared sequence of usual length is a quarter of the size of
	// the pairs of a code, and a sixteenth of that of the bytes of a message.
	room := max(c.MaxSources/16, 16)
	e.shared = newSequences(e, c.MaxSources)
	e.lanes = newLanes(e, room)
	e.streams = newStreams(e, room)
	e.codes = newCodes(e, 4*room)
	e.spa = newDatagrams(e)
	e.families = []family{e.shared, e.lanes, e.streams, e.codes, e.spa}
	for i, a := range c.Accesses {
		if err := e.join(a, i); err != nil {
			return nil, fmt.Errorf("access %q: %w", a.Name, err)
		}
	}
	e.shared.lay(c.Tripwires)
	for _, f := range e.families {
		f.prepare()
	}
	return e, nil
}

// errNoKind is the error of an access without a knock, which nothing could open.
var errNoKind = errors.New("it has no knock")

// join adds an access.
func (e *Engine) join(a Access, index int) error {
	if a.Knock == nil {
		return errNoKind
	}
	r, err := newRule(a, e.db)
	if err != nil {
		return err
	}
	r.index = index
	return a.Knock.join(e, r)
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats {
	s := e.stats
	for _, f := range e.families {
		s.Sources += f.sources()
	}
	return s
}

// Untried is that of Stats.
func (e *Engine) Untried() uint64 { return e.stats.Untried }

// Handle takes a packet that arrived at a time and returns what it decided,
// usually nothing. The verdicts are valid until the next call.
func (e *Engine) Handle(at time.Time, p *packet.Packet) []Verdict {
	e.verdicts = e.verdicts[:0]
	now := e.clock(at)
	// A mapped address is none that packets come from, and would be taken for
	// the IPv4 address in it.
	if el, ok := elementOf(p); ok && !p.Src.Is4In6() {
		touched := e.shared.take(el, p, now)
		for i := range e.spans {
			if s := &e.spans[i]; s.ports.Has(el.Protocol, el.First) {
				s.listener.take(s.group, el, p, now)
				touched = true
			}
		}
		if touched {
			e.stats.Packets++
		}
	}
	for _, f := range e.families {
		f.expire(now, 2)
	}
	return e.verdicts
}

// Flush ends all half-done knocks, as if nothing more could come.
func (e *Engine) Flush(at time.Time) []Verdict {
	e.verdicts = e.verdicts[:0]
	e.clock(at)
	for _, f := range e.families {
		f.flush()
	}
	return e.verdicts
}

// Adopt takes over the half-done knocks of an engine that this one replaces,
// for what both have alike. The old engine must not be used afterwards. Marks
// hold labels by number: where the databases number them otherwise, knocks
// that require an operating system are left, and the others forget what they
// knew of theirs. The youngest knocks are taken over where there is no room for
// all.
func (e *Engine) Adopt(old *Engine) {
	e.epoch, e.work, e.stats.Untried = old.epoch, old.work, old.stats.Untried
	same := sameLabels(e.db, old.db)
	for i, f := range e.families {
		f.adopt(old.families[i], same)
	}
}

// fingerprint tells the system behind a SYN; other packets have none.
func (e *Engine) fingerprint(p *packet.Packet) p0f.Match {
	if e.db == nil || p.Protocol != packet.TCP {
		return p0f.Match{}
	}
	return e.db.Match(p)
}

// say adds a verdict of the packet in hand.
func (e *Engine) say(v Verdict) {
	v.Time = e.at
	e.verdicts = append(e.verdicts, v)
}

// spend reports whether there is time for something that costs so much.
func (e *Engine) spend(cost int64) bool {
	ok := e.work.spend(cost)
	if !ok {
		e.stats.Untried++
	}
	return ok
}

// elementOf tells which element a packet is.
func elementOf(p *packet.Packet) (el port.Range, ok bool) {
	switch {
	case p.PureSYN(), p.Protocol == packet.UDP:
		return port.Single(p.Protocol, p.DstPort), true
	case p.EchoRequest():
		return port.Echo, true
	}
	return port.Range{}, false
}

// clock turns a time into nanoseconds since the first one seen, by the
// monotonic clock where both have it.
func (e *Engine) clock(at time.Time) int64 {
	if e.epoch.IsZero() {
		e.epoch = at
	}
	e.at = at
	return int64(at.Sub(e.epoch))
}

// moment gives the time of a point on the engine's clock, by that of the packet
// in hand.
func (e *Engine) moment(now int64) time.Time {
	return e.at.Add(time.Duration(now - e.clock(e.at)))
}

// sourceKey is the key of a packet's sender.
func sourceKey(a netip.Addr) key { return key(a.As16()) }
