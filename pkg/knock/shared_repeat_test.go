package knock_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/thorough"
)

// The tests of this file: packets that repeat a shared knock which got its verdict
// begin nothing and complete nothing, and a second round is told from another knock.

const repeated = "tcp/1000, udp/2000, tcp/3000, icmp"

// numbered is the packet of an element with serial numbers made from n: packets of
// the same n are repetitions, as a kernel sends them.
func numbered(src netip.Addr, el port.Range, n uint32) *packet.Packet {
	p := touch(src, el)
	p.Dst = src
	if src.Is4() {
		p.ID = uint16(n*7 + 1)
	}
	switch p.Protocol {
	case packet.TCP:
		p.SrcPort, p.TCP.Seq = uint16(32768+n%28000), n*2654435761+1
		p.ID = 0 // a kernel numbers repeated SYNs anew
	case packet.UDP:
		p.SrcPort = uint16(32768 + n%28000)
	default:
		p.ICMP.ID, p.ICMP.Seq = uint16(n), 1
	}
	return p
}

// whole is one packet per element of a knock, with its own serial numbers.
func whole(src netip.Addr, elements []port.Range, n uint32) []*packet.Packet {
	var packets []*packet.Packet
	for i, el := range elements {
		packets = append(packets, numbered(src, el, n*64+uint32(i)))
	}
	return packets
}

// burstAt has packets arrive a millisecond apart.
func burstAt(at time.Duration, packets []*packet.Packet) (events []event) {
	for i, p := range packets {
		events = append(events, event{epoch.Add(at + time.Duration(i)*time.Millisecond), p})
	}
	return events
}

// retransmissions are when Linux sends a SYN again that nobody answers.
var retransmissions = []time.Duration{
	1 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second,
	7 * time.Second, 11 * time.Second, 19 * time.Second, 35 * time.Second, 67 * time.Second,
}

func TestRetransmissionsAfterAMatch(t *testing.T) {
	for _, seq := range []string{
		"tcp/1000, tcp/2000", "tcp/1000, tcp/2000, tcp/3000", "tcp/1, tcp/2, tcp/3, tcp/4, tcp/5, tcp/6",
		"tcp/1000, tcp/2000, tcp/1000",
	} {
		for _, src := range []netip.Addr{alice, bob} {
			a := access(t, seq)
			e := engine(t, knock.Config{Accesses: []knock.Access{a}})
			packets := whole(src, shared(a).Sequence, 1)
			said := feed(e, burstAt(0, packets))
			for _, d := range retransmissions {
				said = append(said, feed(e, burstAt(d, packets))...)
			}
			said = append(said, e.Flush(epoch.Add(time.Hour))...)
			check(t, fmt.Sprintf("%s from %v", seq, src), said, "granted")
		}
	}
}

// Other serial numbers, as of nmap, and none, as of datagrams over IPv6.
func TestASecondRoundAfterAMatch(t *testing.T) {
	a := access(t, repeated)
	for name, round := range map[string]func(src netip.Addr, n uint32) []*packet.Packet{
		"other serials": func(src netip.Addr, n uint32) []*packet.Packet { return whole(src, shared(a).Sequence, n) },
		"no serials": func(src netip.Addr, _ uint32) (packets []*packet.Packet) {
			for _, el := range shared(a).Sequence {
				packets = append(packets, touch(src, el))
			}
			return packets
		},
	} {
		for _, src := range []netip.Addr{alice, bob} {
			e := engine(t, knock.Config{Accesses: []knock.Access{a}})
			said := feed(e, burstAt(0, round(src, 1)))
			said = append(said, feed(e, burstAt(1100*time.Millisecond, round(src, 2)))...)
			backwards := round(src, 3)
			slices.Reverse(backwards)
			said = append(said, feed(e, burstAt(2200*time.Millisecond, backwards))...)
			check(t, name+" soon", said, "granted, again, again")
			check(t, name+" later", feed(e, burstAt(5100*time.Millisecond, round(src, 4))), "granted")
		}
	}
}

// What nmap does where it connects: a second round, backwards and from other ports,
// whose packets the kernel sends again when no packet is ignored for its time any more.
func TestRetransmissionsOfASecondRound(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	first, second := whole(alice, shared(a).Sequence, 1), whole(alice, shared(a).Sequence, 2)
	slices.Reverse(second)
	said := feed(e, burstAt(0, first))
	for _, d := range append([]time.Duration{0}, retransmissions...) {
		said = append(said, feed(e, burstAt(2755*time.Millisecond+d, second))...)
	}
	check(t, "both rounds", append(said, e.Flush(epoch.Add(time.Hour))...), "granted, again")
}

// Another knock may follow the first within five seconds, whatever a second round left. Only
// the caller knows whether it is one.
func TestAnotherKnockWithinFiveSeconds(t *testing.T) {
	const ms = time.Millisecond
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	elements := shared(a).Sequence
	first, another := whole(alice, elements, 1), burstAt(3*time.Second, whole(alice, elements, 9))
	slow := func(n uint32) (events []event) { // backwards, too slow for reorder
		packets := whole(alice, elements, n)
		slices.Reverse(packets)
		for i, p := range packets {
			events = append(events, event{epoch.Add(1100*ms + time.Duration(i)*200*ms), p})
		}
		return events
	}
	for _, c := range []struct {
		name   string
		events []event
		want   string
	}{
		{"alone", nil, "granted, again"},
		{"after a slow round", slow(2), "granted, again"},
		{"after a part of one", burstAt(1100*ms, whole(alice, elements, 2)[1:]), "granted, again"},
		{"after the beginning of one", burstAt(1100*ms, whole(alice, elements, 2)[:2]), "granted, again"},
		{"after duplicates of the network", burstAt(60*ms, whole(alice, elements, 2)), "granted, again"},
	} {
		e := engine(t, knock.Config{Accesses: []knock.Access{a}})
		said := feed(e, burstAt(0, first))
		said = append(said, feed(e, append(c.events, another...))...)
		// Retransmissions of all of it are nothing.
		for _, d := range retransmissions {
			again := slices.Clone(another)
			for i := range again {
				again[i].at = again[i].at.Add(d)
			}
			said = append(said, feed(e, again)...)
		}
		check(t, c.name, append(said, e.Flush(epoch.Add(time.Hour))...), c.want)
	}
}

// Two people behind one address, of whom the first has the wrong system.
func TestAnotherKnockAfterARefusal(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	a.RequireOS = regexp.MustCompile("(?i)linux")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}, Fingerprints: p0f.Builtin()})
	check(t, "unknown system", feed(e, burstAt(0, whole(alice, shared(a).Sequence, 1))), "3: operating system does not match")
	right := whole(alice, shared(a).Sequence, 2)
	for _, p := range right {
		p.Version, p.TTL, p.ID, p.DontFragment, p.TCP.Window, p.TCP.Options = 4, 64, 4711, true, 64240, linuxOptions
	}
	check(t, "Linux", feed(e, burstAt(time.Second, right)), "again")
}

// What is wrong with a second round is not said once more.
func TestASecondRoundIsNotRefused(t *testing.T) {
	wire := port.Single(packet.TCP, 666)
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}, Tripwires: []port.Range{wire}})
	check(t, "first", feed(e, burstAt(0, whole(alice, shared(a).Sequence, 1))), "granted")
	second := whole(alice, shared(a).Sequence, 2)
	check(t, "with a tripwire", feed(e, burstAt(time.Second, slices.Insert(second, 1, touch(alice, wire)))), "")
	check(t, "at the end", e.Flush(epoch.Add(time.Hour)), "")
}

// A knock on purpose is granted amid the retransmissions of those before it, and they
// are not taken for it.
func TestKnockingAgainAmidRetransmissions(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	var events []event
	for n := range 3 {
		packets, at := whole(alice, shared(a).Sequence, uint32(n+1)), time.Duration(n)*9*time.Second
		events = append(events, burstAt(at, packets)...)
		for _, d := range retransmissions {
			events = append(events, burstAt(at+d, packets)...)
		}
	}
	inOrder(events)
	said := append(feed(e, events), e.Flush(epoch.Add(time.Hour))...)
	check(t, "three knocks", said, "granted, granted, granted")
}

func inOrder(events []event) {
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at.Sub(b.at), 0) })
}

// An old SYN that comes again in the middle of another knock does not void it.
func TestARetransmissionVoidsNothing(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	before, after := whole(alice, shared(a).Sequence, 1), whole(alice, shared(a).Sequence, 2)
	check(t, "first", feed(e, burstAt(0, before)), "granted")
	said := feed(e, burstAt(30*time.Second, after[:1]))
	said = append(said, feed(e, burstAt(35*time.Second, before[2:]))...)
	said = append(said, feed(e, burstAt(36*time.Second, after[1:]))...)
	check(t, "second", said, "granted")
}

// A refusal is not repeated either, nor turned into a grant.
func TestRetransmissionsAfterARefusal(t *testing.T) {
	plain := access(t, "tcp/1000, tcp/2000, tcp/3000")
	expired, system := plain, plain
	expired.Expires = epoch.Add(-time.Second)
	system.RequireOS = regexp.MustCompile("(?i)windows")
	wire := port.Single(packet.TCP, 666)
	packets := whole(alice, shared(plain).Sequence, 1)
	for _, p := range packets {
		// A system that is not the required one.
		p.ID, p.DontFragment, p.TCP.Window, p.TCP.Options = 4711, true, 64240, linuxOptions
	}
	trip := touch(alice, wire)
	for _, c := range []struct {
		name   string
		access knock.Access
		first  []*packet.Packet
		want   string
	}{
		{"expired", expired, packets, "3: access has expired"},
		{"wrong system", system, packets, "3: operating system does not match"},
		{"scan", plain, append([]*packet.Packet{trip}, packets...), "3: looks like a port scan"},
		{"tripwire", plain, []*packet.Packet{packets[0], packets[1], trip, packets[2]}, "2: sent a packet to a tripwire port"},
		{"tripwire before the last two", plain, []*packet.Packet{packets[0], trip}, "1: sent a packet to a tripwire port"},
	} {
		e := engine(t, knock.Config{Accesses: []knock.Access{c.access}, Tripwires: []port.Range{wire}, Fingerprints: p0f.Builtin()})
		said := feed(e, burstAt(0, c.first))
		// Of a knock that a tripwire voided only what came is known.
		for _, d := range retransmissions {
			said = append(said, feed(e, burstAt(d, packets))...)
		}
		said = append(said, e.Flush(epoch.Add(time.Hour))...)
		if got := words(said); !strings.HasPrefix(got, c.want) || strings.Count(got, c.want) != 1 || strings.Contains(got, "granted") {
			t.Errorf("%s: %q, want %q once and no grant", c.name, got, c.want)
		}
		if c.name != "tripwire" && c.name != "tripwire before the last two" {
			check(t, c.name, said, c.want)
		}
	}
}

// A tripwire touched in the client's name, after its knock or before, delays nobody
// for longer than it does without the guard.
func TestATripwireMakesNobodyWaitForTheGuard(t *testing.T) {
	wire := port.Single(packet.TCP, 666)
	a := access(t, "tcp/1000, tcp/2000, tcp/3000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}, Tripwires: []port.Range{wire}})
	packets := whole(alice, shared(a).Sequence, 1)
	check(t, "voided", feed(e, burstAt(0, append(packets[:2:2], touch(alice, wire)))), "2: sent a packet to a tripwire port")
	// Eight times the reorder of 100 ms is what must lie between.
	check(t, "again", feed(e, burstAt(time.Second, whole(alice, shared(a).Sequence, 2))), "granted")
	// And it still voids a knock after a match.
	said := feed(e, burstAt(10*time.Second, append(whole(alice, shared(a).Sequence, 3)[:2:2], touch(alice, wire))))
	check(t, "after a match", said, "2: sent a packet to a tripwire port")
}

// The guard is of the source and the access that matched.
func TestTheGuardIsOfOneSourceAndAccess(t *testing.T) {
	one, two := access(t, "tcp/1000, tcp/2000"), access(t, "tcp/1000, tcp/3000")
	two.Name = "two"
	e := engine(t, knock.Config{Accesses: []knock.Access{one, two}})
	if got := play(t, e, alice, "0s tcp/1000, 0s tcp/2000, 1s tcp/1000, 1s tcp/2000, 1s tcp/3000"); got != "granted, again, granted" {
		t.Errorf("%q, want one grant of each", got)
	}
	if got := play(t, e, bob, "1s tcp/1000, 1s tcp/2000"); got != "granted" {
		t.Errorf("another source: %q, want granted", got)
	}
}

func TestAdoptKeepsTheGuard(t *testing.T) {
	a, longer := access(t, "tcp/1000, tcp/2000"), access(t, "udp/1, udp/2, udp/3, udp/4")
	longer.Name = "longer"
	small := knock.Config{Accesses: []knock.Access{a}}
	large := knock.Config{Accesses: []knock.Access{longer, a}, Fingerprints: p0f.Builtin()}
	for name, c := range map[string][2]knock.Config{"grows": {small, large}, "shrinks": {large, small}} {
		old, e := engine(t, c[0]), engine(t, c[1])
		packets := whole(alice, shared(a).Sequence, 1)
		check(t, name, feed(old, burstAt(0, packets)), "granted")
		e.Adopt(old)
		check(t, name+": other serials", feed(e, burstAt(time.Second, whole(alice, shared(a).Sequence, 2))), "again")
		check(t, name+": retransmission", feed(e, burstAt(35*time.Second, packets)), "")
		check(t, name+": another knock", feed(e, burstAt(36*time.Second, whole(alice, shared(a).Sequence, 3))), "granted")
	}
}

// What is remembered has an end: a client may use its numbers again, and the memory is
// given to others.
func TestTheGuardHasAnEnd(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}, MaxSources: 1})
	packets := whole(alice, shared(a).Sequence, 1)
	check(t, "first", feed(e, burstAt(0, packets)), "granted")
	check(t, "two minutes later", feed(e, burstAt(2*time.Minute, packets)), "granted")
	// More sources than there is room for.
	for i := range uint32(1000) {
		check(t, "another source", feed(e, burstAt(3*time.Minute, whole(address(i<<8), shared(a).Sequence, i))), "granted")
	}
	if n := e.Stats().Evicted; n != 0 {
		t.Errorf("%d half-done knocks evicted, want none", n)
	}
}

// rehearsal makes honest knocks: in order, each packet some milliseconds to seconds
// after the one before, and what network and kernel do to them.
type rehearsal struct {
	rng      *rand.Rand
	elements []port.Range
	src      netip.Addr
	events   []event
}

// add has a knock begin at a time and returns when its last packet arrives for the first
// time. lossy is whether first packets may be lost, so that only a retransmission comes.
func (r *rehearsal) add(at time.Duration, n uint32, lossy bool) time.Duration {
	pace := []time.Duration{5 * time.Millisecond, 150 * time.Millisecond, 1200 * time.Millisecond}[r.rng.IntN(3)]
	var last time.Duration
	for i, p := range whole(r.src, r.elements, n) {
		sent := at + time.Duration(i)*pace
		if !lossy || r.rng.IntN(4) > 0 {
			r.events = append(r.events, event{epoch.Add(sent), p})
		}
		last = sent
		for range r.rng.IntN(3) { // duplicates of the network
			copied := *p
			d := time.Duration(r.rng.IntN(60)) * time.Millisecond
			r.events = append(r.events, event{epoch.Add(sent + d), &copied})
		}
		if p.Protocol != packet.TCP {
			continue
		}
		for _, d := range retransmissions[:r.rng.IntN(len(retransmissions)+1)] {
			if r.rng.IntN(4) > 0 {
				r.events = append(r.events, event{epoch.Add(sent + d), p})
			}
		}
	}
	return last
}

func newRehearsal(seed uint64) *rehearsal {
	r := &rehearsal{rng: rand.New(rand.NewPCG(seed, 5)), src: []netip.Addr{alice, bob}[seed%2]}
	for i := range 2 + r.rng.IntN(5) {
		el := port.Single(packet.TCP, uint16(1000+i))
		switch r.rng.IntN(6) {
		case 0:
			el.Protocol = packet.UDP
		case 1:
			el = port.Echo
		}
		r.elements = append(r.elements, el)
	}
	return r
}

func (r *rehearsal) verdicts(t testing.TB) string {
	inOrder(r.events)
	a := access(t, "tcp/1, tcp/2")
	alter(&a, func(s *knock.Shared) { s.Sequence = r.elements })
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	said := feed(e, r.events)
	return words(append(said, e.Flush(epoch.Add(time.Hour))...))
}

func TestOneHonestKnockIsOneVerdict(t *testing.T) {
	for seed := range uint64(thorough.Choose(2000, 5000)) {
		r := newRehearsal(seed)
		if r.twice() {
			continue
		}
		r.add(0, 1, false)
		if got := r.verdicts(t); got != "granted" {
			t.Fatalf("seed %d, %v: %q, want granted once", seed, r.elements, got)
		}
	}
}

// twice reports whether an element occurs twice: a duplicate may then be taken for the
// next element, and what follows is early.
func (r *rehearsal) twice() bool {
	sorted := slices.Clone(r.elements)
	slices.SortFunc(sorted, func(a, b port.Range) int { return cmp.Compare(a.String(), b.String()) })
	return len(slices.Compact(sorted)) < len(r.elements)
}

// Where packets are lost, retransmissions may be granted in place of them, once.
func TestALossyKnockIsGrantedAtMostOnce(t *testing.T) {
	granted := 0
	for seed := range uint64(thorough.Choose(2000, 5000)) {
		r := newRehearsal(seed)
		r.add(0, 1, true)
		n := strings.Count(r.verdicts(t), "granted")
		if n > 1 {
			t.Fatalf("seed %d, %v: granted %d times", seed, r.elements, n)
		}
		granted += n
	}
	if granted == 0 {
		t.Error("none granted")
	}
}

func TestTwoHonestKnocksAreTwoVerdicts(t *testing.T) {
	for seed := range uint64(thorough.Choose(2000, 5000)) {
		r := newRehearsal(seed)
		if r.twice() {
			continue
		}
		end := r.add(0, 1, false)
		r.add(end+5001*time.Millisecond+time.Duration(r.rng.IntN(20_000))*time.Millisecond, 2, false)
		if got := r.verdicts(t); got != "granted, granted" {
			t.Fatalf("seed %d, %v: %q, want granted twice", seed, r.elements, got)
		}
	}
}
