package knock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
	"nftknock/test/thorough"
)

// The tests of this file: a knock whose time is over has no influence on a later
// one of the same source, although the engine ends only two overdue knocks per
// packet and handles the packet first.

// wrongSIV sends two bursts of a key that no access has.
func wrongSIV(t testing.TB, e *knock.Engine, at time.Time) []knock.Verdict {
	t.Helper()
	b := burst(alice, token(t, sivKey(t, 2), knockSSH(at)), rotated)
	return append(send(e, at, b...), send(e, at.Add(300*time.Millisecond), b...)...)
}

func TestSIVWrongKeyAfterASuccess(t *testing.T) {
	for name, gap := range map[string]time.Duration{
		"soon":               5 * time.Second,
		"when it is overdue": 11 * time.Second,
		"a minute later":     61 * time.Second,
	} {
		config := knock.Config{Accesses: []knock.Access{sivAccess(sivKey(t, 1))}}
		e := engine(t, config)
		check(t, "right key", send(e, epoch, burst(alice, token(t, sivKey(t, 1), knockSSH(epoch)), rotated)...), "granted")
		adopter := engine(t, config)
		adopter.Adopt(e)
		check(t, name, wrongSIV(t, adopter, epoch.Add(gap)), "38: no key matches")
	}
}

// A group has the longest time of its accesses, and not that of other groups.
func TestSIVWrongKeyBesideAPatientGroup(t *testing.T) {
	patient := sivAccess(sivKey(t, 3))
	s := patient.Knock.(knock.SIV)
	s.Base, s.Within = 1024, time.Hour
	patient.Knock = s
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(sivKey(t, 1)), patient}})
	for i := range 3 {
		at := epoch.Add(time.Duration(i) * 15 * time.Second)
		check(t, "wrong key", wrongSIV(t, e, at), "38: no key matches")
	}
}

// A source that never pauses for as long as a knock may take gets one verdict per
// time of a knock, and always after the second burst.
func TestSIVWrongKeysWithoutAPause(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(sivKey(t, 1))}})
	strays := burst(alice, make([]byte, seal.SIVLen6), udp)
	check(t, "a stray packet beyond the short message", e.Handle(epoch, strays[45]), "")
	for second := range 60 {
		at := epoch.Add(time.Duration(second) * time.Second)
		check(t, "a stray packet", e.Handle(at, strays[0]), "")
		if second%20 == 15 {
			b := burst(alice, token(t, sivKey(t, 2), knockSSH(at)), rotated)
			check(t, fmt.Sprintf("first burst at %d s", second), send(e, at, b...), "")
			check(t, fmt.Sprintf("second burst at %d s", second), send(e, at.Add(300*time.Millisecond), b...), "38: no key matches")
		}
	}
}

func TestOrderedWrongKeyAfterAVerdict(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		for before, key := range map[string]sealer{"a success": keys[0], "a wrong key": keys[1]} {
			e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(keys[0])}})
			send(e, epoch, row(alice, key.message(t, knockSSH(time.Time{})), tcp)...)
			// The knock before ends with this one's first packet, or has.
			at := epoch.Add(time.Minute)
			said := send(e, at, row(alice, keys[1].message(t, knockSSH(time.Time{})), tcp)...)
			said = append(said, e.Flush(at.Add(time.Minute))...)
			want := map[string]string{"article": "16: no key matches", "fwknop-1.9": "32: no key matches"}[name]
			if name == "article" && before == "a wrong key" {
				want += ", " + want // each when its time is over
			}
			check(t, name+" after "+before, said, want)
		}
	}
}

// Packets that trickle in are no knock, however many there are in the end.
func TestOrderedCountsWhatCameInTime(t *testing.T) {
	key := articleKey(t, "fwknoptest")
	e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
	var said []knock.Verdict
	for i, p := range row(alice, make([]byte, 40), udp) {
		said = append(said, e.Handle(epoch.Add(time.Duration(i)*9*time.Second), p)...)
	}
	said = append(said, e.Flush(epoch.Add(time.Hour))...)
	check(t, "one packet per nine seconds", said, "")
}

// A packet repeats one of the same knock, not one of a knock before.
func TestTOTPRepetitionsHaveATime(t *testing.T) {
	secret := totpSecret(t, 1)
	packets := dial(alice, secret.Code(totp.Step(epoch)))
	e := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret)}})
	check(t, "first pair", e.Handle(epoch, packets[0]), "")
	check(t, "all pairs", send(e, epoch.Add(11*time.Second), packets...), "granted")
}

func TestOrderedRepetitionsHaveATime(t *testing.T) {
	key := articleKey(t, "fwknoptest")
	packets := row(alice, key.message(t, knockSSH(time.Time{})), tcp)
	e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
	check(t, "first byte", e.Handle(epoch, packets[0]), "")
	other := row(alice, []byte{200}, udp)[0]
	check(t, "another packet", e.Handle(epoch.Add(9*time.Second), other), "")
	check(t, "all bytes", send(e, epoch.Add(11*time.Second), packets...), "granted")
}

// The packet that finds a shared knock overdue may be an element of the next one
// that overtook the first.
func TestSharedElementThatOvertookTheFirst(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{access(t, "tcp/1000, udp/2000, tcp/3000")}})
	check(t, "half a knock", send(e, epoch, touch(alice, port.Single(packet.TCP, 1000))), "")
	const late = "1: packets too far apart"
	got := play(t, e, alice, "61000ms udp/2000, 61050ms tcp/1000, 62000ms tcp/3000")
	if want := late + ", granted"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTripwireDoesNotVoidWhatIsOver(t *testing.T) {
	e := engine(t, knock.Config{
		Accesses:  []knock.Access{access(t, "tcp/1000, udp/2000, tcp/3000")},
		Tripwires: []port.Range{port.Single(packet.TCP, 666)},
	})
	got := play(t, e, alice, "0s tcp/1000, 1s udp/2000, 61s tcp/666")
	if want := "2: sequence not completed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Where the table is full of overdue knocks, none that is in time makes room.
func TestOverdueKnocksMakeRoomFirst(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{access(t, "tcp/1000, tcp/2000")}, MaxSources: 8})
	first := port.Single(packet.TCP, 1000)
	for i := range uint32(5) {
		e.Handle(epoch, touch(address(i<<8), first)) // a prefix each
	}
	later := epoch.Add(59 * time.Second)
	for i := range uint32(3) {
		e.Handle(later, touch(address(7<<8+i), first)) // the busiest prefix
	}
	var said []knock.Verdict
	later = epoch.Add(61 * time.Second)
	said = append(said, e.Handle(later, touch(address(9<<8), first))...)
	said = append(said, e.Handle(later, touch(address(7<<8), port.Single(packet.TCP, 2000)))...)
	if n := e.Stats().Evicted; n != 0 {
		t.Errorf("%d evicted, want none", n)
	}
	if !slices.ContainsFunc(said, func(v knock.Verdict) bool { return v.Granted() }) {
		t.Errorf("%q, want one granted", words(said))
	}
}

// script is a history of packets of one source.
type script struct {
	t       testing.TB
	rng     *rand.Rand
	now     time.Time
	events  []event
	sealers map[string][2]sealer
}

type event struct {
	at     time.Time
	packet *packet.Packet
}

// add sends some packets 10 ms apart, of which some are lost, and pauses.
func (s *script) add(packets []*packet.Packet) {
	lost := s.rng.IntN(4) * s.rng.IntN(2) * 8 // in a hundred
	for _, p := range packets {
		if s.rng.IntN(100) >= lost {
			s.events = append(s.events, event{s.now, p})
			s.now = s.now.Add(10 * time.Millisecond)
		}
	}
	pauses := []time.Duration{0, 300 * time.Millisecond, time.Second, 4 * time.Second, 9 * time.Second, 12 * time.Second}
	s.now = s.now.Add(pauses[s.rng.IntN(len(pauses))])
}

// act adds what a source may do: a knock of some kind, with a right key or a wrong
// one, once or twice, or some packets of any knock.
func (s *script) act() {
	key := uint32(1 + s.rng.IntN(2)) // 1 is right
	var packets []*packet.Packet
	switch s.rng.IntN(5) {
	case 0:
		m := knockSSH(s.now)
		if s.rng.IntN(3) == 0 {
			m = wide(m)
		}
		packets = burst(alice, token(s.t, sivKey(s.t, key), m), rotated)
	case 1:
		m := s.sealers["article"][key-1].message(s.t, knockSSH(time.Time{}))
		packets = row(alice, m, rotated)
	case 2:
		m := s.sealers["fwknop-1.9"][key-1].message(s.t, knockSSH(time.Time{}))
		packets = row(alice, m, rotated)
	case 3:
		packets = dial(alice, totpSecret(s.t, key).Code(totp.Step(s.now)))
	case 4:
		for _, n := range [][]uint16{{1000, 2000, 3000}, {2000, 1000, 3000}, {1000, 3000}, {2000}, {3000, 2000}, {666}}[s.rng.IntN(6)] {
			packets = append(packets, touch(alice, port.Single(packet.TCP, n)))
		}
	}
	for range 1 + s.rng.IntN(2) {
		s.add(packets)
	}
}

// verdicts describes what an engine decides on some events, in order. The reasons of
// a shared sequence whose time is over depend on the packet that ends it.
func verdicts(of []knock.Verdict) (all []string) {
	for _, v := range of {
		if v.Reason == knock.TooSlow {
			v.Reason = knock.Incomplete
		}
		all = append(all, fmt.Sprintf("%d %s", v.Access, say(v)))
	}
	return all
}

func feed(e *knock.Engine, events []event) (said []knock.Verdict) {
	for _, ev := range events {
		said = append(said, e.Handle(ev.at, ev.packet)...)
	}
	return said
}

// After a pause of two minutes, whatever a source did before, its packets get the
// verdicts that they would get of an engine that never saw it, and nothing but the
// verdicts on what was unfinished.
func TestWhatIsOverHasNoInfluence(t *testing.T) {
	keys := orderedKeys(t)
	config := knock.Config{
		Accesses: []knock.Access{
			sivAccess(sivKey(t, 1)), orderedAccess(keys["article"][0]), orderedAccess(keys["fwknop-1.9"][0]),
			totpAccess("phone", totpSecret(t, 1)), access(t, "tcp/1000, tcp/2000, tcp/3000"),
		},
		Tripwires: []port.Range{port.Single(packet.TCP, 666)},
	}
	for seed := range uint64(thorough.Choose(300, 1000)) {
		s := script{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, sealers: keys}
		for range 1 + s.rng.IntN(6) {
			s.act()
		}
		before := s.events
		s.now, s.events = s.now.Add(2*time.Minute), nil
		for range 1 + s.rng.IntN(6) {
			s.act()
		}
		alone := engine(t, config)
		feed(alone, before)
		want := verdicts(alone.Flush(s.now.Add(time.Hour)))
		fresh := engine(t, config)
		said := feed(fresh, s.events)
		want = append(want, verdicts(append(said, fresh.Flush(s.now.Add(time.Hour))...))...)

		used := engine(t, config)
		feed(used, before)
		if seed%2 == 0 {
			adopter := engine(t, config)
			adopter.Adopt(used)
			used = adopter
		}
		said = feed(used, s.events)
		got := verdicts(append(said, used.Flush(s.now.Add(time.Hour))...))
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}
