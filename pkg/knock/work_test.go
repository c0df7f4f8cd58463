package knock_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
	"nftknock/test/thorough"
)

// spaAccesses have a key each.
func spaAccesses(t testing.TB, n int) []knock.Access {
	var all []knock.Access
	for i := range n {
		all = append(all, spaAccess(spaKey(t, uint32(i))))
	}
	return all
}

// tried counts the packets of n that were tried against all keys, all of them
// sent at one time from sources in turn.
func tried(e *knock.Engine, at time.Time, payload []byte, n int, source func(i int) netip.Addr) int {
	count := 0
	for i := range n {
		count += len(e.Handle(at, datagram(source(i), payload)))
	}
	return count
}

func TestWorkOfOneSourceIsBounded(t *testing.T) {
	accesses := spaAccesses(t, 200)
	junk := authorization(t, spaKey(t, 1<<20), askSSH(epoch))
	good := func(at time.Time) []byte { return authorization(t, spaKey(t, 199), askSSH(at)) }
	e := engine(t, knock.Config{Accesses: accesses})
	from := func(int) netip.Addr { return alice }
	if n := tried(e, epoch, junk, 2000, from); n < 100 || n > 1000 {
		t.Errorf("%d of 2,000 packets of one source were tried, want some hundreds", n)
	}
	if e.Stats().Untried == 0 || e.Untried() != e.Stats().Untried {
		t.Errorf("%d untried, %d by Stats, want the same and more than none", e.Untried(), e.Stats().Untried)
	}
	check(t, "the flooder's own", send(e, epoch, datagram(alice, good(epoch))), "")
	check(t, "another's", send(e, epoch, datagram(carol, good(epoch))), "granted")
	later := epoch.Add(10 * time.Second)
	check(t, "the flooder's, later", send(e, later, datagram(alice, good(later))), "granted")
}

func TestWorkOfAllSourcesIsBounded(t *testing.T) {
	accesses := spaAccesses(t, 200)
	junk := authorization(t, spaKey(t, 1<<20), askSSH(epoch))
	e := engine(t, knock.Config{Accesses: accesses})
	from := func(i int) netip.Addr { return address(uint32(i)) }
	first := tried(e, epoch, junk, 6000, from)
	if first < 1000 || first > 5000 {
		t.Errorf("%d of 6,000 packets were tried, want some thousands", first)
	}
	if n := tried(e, epoch, junk, 1000, func(i int) netip.Addr { return address(uint32(1<<16 + i)) }); n != 0 {
		t.Errorf("%d of 1,000 more were tried, want none", n)
	}
	later := epoch.Add(10 * time.Second)
	check(t, "later", send(e, later, datagram(carol, authorization(t, spaKey(t, 199), askSSH(later)))), "granted")
}

func TestWorkOfOneIPv6NetworkIsThatOfOneSource(t *testing.T) {
	junk := authorization(t, spaKey(t, 1<<20), askSSH(epoch))
	e := engine(t, knock.Config{Accesses: spaAccesses(t, 200)})
	n := tried(e, epoch, junk, 2000, func(i int) netip.Addr {
		a := bob.As16()
		a[14], a[15] = byte(i>>8), byte(i)
		return netip.AddrFrom16(a)
	})
	if n < 100 || n > 1000 {
		t.Errorf("%d of 2,000 packets of a /64 were tried, want some hundreds", n)
	}
}

// The budget of a flooder goes with the sources, not with the engine.
func TestWorkIsAdopted(t *testing.T) {
	accesses := spaAccesses(t, 200)
	junk := authorization(t, spaKey(t, 1<<20), askSSH(epoch))
	from := func(int) netip.Addr { return alice }
	old := engine(t, knock.Config{Accesses: accesses})
	tried(old, epoch, junk, 2000, from)
	e := engine(t, knock.Config{Accesses: accesses})
	e.Adopt(old)
	if n := tried(e, epoch, junk, 100, from); n != 0 {
		t.Errorf("%d packets were tried after a reload, want none", n)
	}
	if e.Untried() <= old.Untried() {
		t.Errorf("%d untried, want more than %d", e.Untried(), old.Untried())
	}
}

// What a key opens gets its verdict, even if there was no time for the keys after it.
func TestWorkThatIsCutOffStillTells(t *testing.T) {
	accesses := spaAccesses(t, 400)
	refused := askSSH(epoch)
	refused.Services[0] = port.Single(packet.TCP, 23)
	p := datagram(alice, authorization(t, spaKey(t, 0), refused))
	e := engine(t, knock.Config{Accesses: accesses})
	for range 1000 {
		said := e.Handle(epoch, p)
		check(t, "refused", said, "1: asks for a port that the access does not open")
		if e.Stats().Untried > 0 {
			return
		}
	}
	t.Error("never cut off")
}

func TestWorkOfLanesIsBounded(t *testing.T) {
	var accesses []knock.Access
	for i := range uint32(1000) {
		accesses = append(accesses, sivAccess(sivKey(t, i)))
	}
	e := engine(t, knock.Config{Accesses: accesses})
	rng := rand.New(rand.NewPCG(1, 2))
	junk := laneJunk(rng, alice, 1<<14)
	sendAt(e, epoch, junk)
	if e.Stats().Untried == 0 {
		t.Error("all was tried")
	}
	// The flood filled the source's lanes, but not another's.
	check(t, "another's", send(e, epoch, burst(carol, token(t, sivKey(t, 999), knockSSH(epoch)), udp)...), "granted")
	later := epoch.Add(20 * time.Second)
	// The first packet of the right knock ends the flood, as of which all lanes are full.
	said := send(e, later, burst(alice, token(t, sivKey(t, 999), knockSSH(later)), udp)...)
	check(t, "the flooder's, later", said, "50: no key matches, granted")
}

// What is looked for when knocks expire is at the cost of their senders, not of
// whose packet comes then.
func TestWorkOfExpiryIsItsSenders(t *testing.T) {
	var accesses []knock.Access
	for i := range uint32(1000) {
		accesses = append(accesses, sivAccess(sivKey(t, i)))
	}
	e := engine(t, knock.Config{Accesses: accesses, MaxSources: 1 << 16})
	const senders = 1500 // with 1000 keys each, more than one source may cost
	junk := token(t, sivKey(t, 1<<20), knockSSH(epoch))
	for i := range uint32(senders) {
		sendAt(e, epoch, burst(address(i), junk, udp))
	}
	later := epoch.Add(11 * time.Second)
	b := burst(carol, token(t, sivKey(t, 0), knockSSH(later)), udp)
	e.Handle(later, b[0])
	for range senders {
		e.Handle(later, touch(bob, ssh))
	}
	check(t, "bystander", sendAt(e, later, b), "granted")
}

// laneJunk is random bytes: the first 50 fill the lanes, and those after go to a
// few lanes alone, so that each is tried in several combinations.
func laneJunk(rng *rand.Rand, src netip.Addr, n int) []*packet.Packet {
	var packets []*packet.Packet
	for i := range n {
		lane := i
		if i >= seal.SIVLen6 {
			lane = rng.IntN(5)
		}
		n := seal.LanePort(seal.DefaultLaneBase, lane, byte(rng.IntN(256)))
		packets = append(packets, touch(src, port.Single(packet.UDP, n)))
	}
	return packets
}

// junkLoads are packets that are tried and never a knock, by what they are tried as.
func junkLoads(t testing.TB) map[string]struct {
	accesses []knock.Access
	packets  []*packet.Packet
} {
	type load = struct {
		accesses []knock.Access
		packets  []*packet.Packet
	}
	loads := make(map[string]load)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, keys := range []int{1, thorough.Choose(200, 1000)} {
		var l load
		for i := range uint32(keys) {
			l.accesses = append(l.accesses, sivAccess(sivKey(t, i)))
		}
		for i := range uint32(20) {
			l.packets = append(l.packets, laneJunk(rng, address(i), 100)...)
		}
		loads[fmt.Sprintf("lanes, %d keys", keys)] = l

		l = load{}
		for i := range uint32(keys) {
			l.accesses = append(l.accesses, totpAccess(fmt.Sprint(i), totpSecret(t, i)))
		}
		for i := range 200 {
			l.packets = append(l.packets, dial(address(uint32(i%40)), wrongCode(i, totpSecret(t, 0)))...)
		}
		loads[fmt.Sprintf("codes, %d keys", keys)] = l

		l = load{accesses: spaAccesses(t, keys)}
		junk := authorization(t, spaKey(t, 1<<20), askSSH(epoch))
		for i := range uint32(50) {
			l.packets = append(l.packets, datagram(address(i), junk), datagram(address(i), junk[1:]), datagram(address(i), nil))
		}
		loads[fmt.Sprintf("datagrams, %d keys", keys)] = l
	}
	var l load
	for _, keys := range orderedKeys(t) {
		l.accesses = append(l.accesses, orderedAccess(keys[0]))
	}
	for i := range 1000 {
		l.packets = append(l.packets, row(address(uint32(i%20)), []byte{byte(rng.IntN(256))}, rotated)...)
	}
	loads["rows"] = l
	return loads
}

func TestJunkAllocatesNothing(t *testing.T) {
	for name, load := range junkLoads(t) {
		e := engine(t, knock.Config{Accesses: load.accesses})
		// All within one step, whose hints and codes are made once.
		runs := thorough.Choose(3, 10)
		at, pace := epoch, totp.Period/time.Duration((runs+3)*len(load.packets))
		play := func() {
			for _, p := range load.packets {
				e.Handle(at, p)
				at = at.Add(pace)
			}
		}
		play()
		allocs := testing.AllocsPerRun(runs, play) // and once more, before
		if allocs != 0 {
			t.Errorf("%s: %v allocations in %d packets, want none", name, allocs, len(load.packets))
		}
		if n := e.Stats().Untried; n != 0 {
			t.Errorf("%s: %d untried, want all tried", name, n)
		}
	}
}
