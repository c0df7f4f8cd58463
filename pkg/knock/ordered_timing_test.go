package knock_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/seal"
	"nftknock/test/thorough"
)

// within is an ordered access whose knocks have some time.
func within(s sealer, d time.Duration) knock.Access {
	a := orderedAccess(s)
	o := a.Knock.(knock.Ordered)
	o.Within = d
	a.Knock = o
	return a
}

// spread gives packets times, so that the last comes a duration after the first.
func spread(packets []*packet.Packet, from time.Time, lasts time.Duration) (events []event) {
	for i, p := range packets {
		events = append(events, event{from.Add(lasts * time.Duration(i) / time.Duration(len(packets)-1)), p})
	}
	return events
}

// paced gives packets times with a pause between two of them.
func paced(packets []*packet.Packet, from time.Time, pause time.Duration) []event {
	return spread(packets, from, pause*time.Duration(len(packets)-1))
}

// merged puts events in the order of their times.
func merged(events ...[]event) []event {
	all := slices.Concat(events...)
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	return all
}

// toTheEnd feeds events and ends what is left a long time later.
func toTheEnd(e *knock.Engine, events []event) []knock.Verdict {
	said := slices.Clone(feed(e, events))
	return append(said, e.Flush(events[len(events)-1].at.Add(time.Hour))...)
}

func TestOrderedTooSlow(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		message := keys[0].message(t, knockSSH(time.Time{}))
		slow := fmt.Sprintf("%d: packets too far apart", len(message))
		none := map[string]string{"article": "", "fwknop-1.9": "32: no key matches"}[name]
		for _, c := range []struct {
			name   string
			opener sealer
			lasts  time.Duration
			want   string
			token  bool
		}{
			{"in time", keys[0], 10 * time.Second, "granted", true},
			{"too slow", keys[0], 10*time.Second + 1, slow, true},
			{"twice the time", keys[0], 20 * time.Second, slow, true},
			// 16 packets take two thirds of that time for 11 of them, which are no knock.
			{"more than twice", keys[0], 20*time.Second + 1, map[string]string{"article": "", "fwknop-1.9": slow}[name], false},
			{"too slow, wrong key", keys[1], 20 * time.Second, none, false},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(c.opener)}})
				said := toTheEnd(e, spread(row(alice, message, tcp), epoch, c.lasts))
				check(t, "said", said, c.want)
				for _, v := range said {
					if v.Access != 0 || (v.Request != nil) != c.token {
						t.Errorf("access %d, request %+v, want access 0 and a request: %t", v.Access, v.Request, c.token)
					}
				}
			})
		}
	}
}

// The Perl client of fwknop 1.9 sends a SYN every two seconds where nothing answers.
func TestOrderedPaceOfThePerlClient(t *testing.T) {
	key := fwknop19Key(t, "fwknoptest")
	for d, want := range map[time.Duration]string{
		2 * time.Minute: "granted", time.Minute: "32: packets too far apart", 20 * time.Second: "32: packets too far apart",
	} {
		e := engine(t, knock.Config{Accesses: []knock.Access{within(key, d)}})
		packets := row(alice, key.message(t, knockSSH(time.Time{})), tcp)
		check(t, fmt.Sprint("within ", d), toTheEnd(e, paced(packets, epoch, 2*time.Second)), want)
	}
}

// An access with more time grants what is too slow for another with the same key.
func TestOrderedTooSlowForOneOfTwo(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		e := engine(t, knock.Config{Accesses: []knock.Access{within(keys[0], 5*time.Second), within(keys[0], 10*time.Second)}})
		for lasts, want := range map[time.Duration]string{9 * time.Second: "granted", 11 * time.Second: "packets too far apart"} {
			m := knockSSH(time.Time{})
			m.User = fmt.Sprint(lasts)
			said := feed(e, spread(row(alice, keys[0].message(t, m), tcp), epoch.Add(time.Hour*(lasts/time.Second)), lasts))
			if got := strings.TrimLeft(words(said), "0123456789: "); got != want {
				t.Errorf("%s in %v: %q, want %q", name, lasts, got, want)
			}
			if want == "granted" && said[0].Access != 1 {
				t.Errorf("%s: access %d, want 1", name, said[0].Access)
			}
		}
	}
}

// A salted message is recognised by its beginning, also where 16 packets of an article
// key come to the same ports.
func TestOrderedHalfOfASaltedMessage(t *testing.T) {
	keys := orderedKeys(t)
	salted := keys["fwknop-1.9"][0]
	alone := []knock.Access{orderedAccess(salted)}
	for _, accesses := range [][]knock.Access{alone, append(alone, orderedAccess(keys["article"][0]))} {
		for _, n := range []int{8, 16, 24, 31} {
			e := engine(t, knock.Config{Accesses: accesses})
			packets := row(alice, salted.message(t, knockSSH(time.Time{})), tcp)[:n]
			check(t, fmt.Sprintf("%d accesses", len(accesses)), toTheEnd(e, paced(packets, epoch, 100*time.Millisecond)),
				fmt.Sprintf("%d: sequence not completed", n))
		}
	}
}

func TestOrderedMixtures(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		key := keys[0]
		message := func(user string) []byte {
			m := knockSSH(time.Time{})
			m.User = user
			return key.message(t, m)
		}
		first, second := row(alice, message("first"), tcp), row(alice, message("second"), tcp)
		const pause = 50 * time.Millisecond
		// later are the retransmissions of packets, a time after each.
		later := func(packets []*packet.Packet, after time.Duration) []event {
			return paced(packets, epoch.Add(after), pause)
		}
		withPort := func(packets []*packet.Packet, n uint16) (other []*packet.Packet) {
			for _, p := range packets {
				q := *p
				q.SrcPort = n
				other = append(other, &q)
			}
			return other
		}
		lost := slices.Delete(slices.Clone(first), 9, 10)
		sameSerial := row(alice, message("first"), tcp)
		for _, p := range sameSerial {
			p.TCP.Seq = 1
		}
		for _, c := range []struct {
			name   string
			events []event
			want   string
		}{
			{"one lost, then a whole one", merged(paced(lost, epoch, pause), paced(second, epoch.Add(3*time.Second), pause)), "granted"},
			{"one lost, then a whole one at once", merged(paced(lost, epoch, pause), paced(second, epoch.Add(pause*time.Duration(len(first))), pause)), "granted"},
			{"retransmissions of the first in the second", merged(
				paced(lost, epoch, pause), later(lost, 999*time.Millisecond), later(lost, 2999*time.Millisecond), later(lost, 6999*time.Millisecond),
				paced(second, epoch.Add(2500*time.Millisecond), 40*time.Millisecond)), "granted"},
			{"retransmissions of its own", merged(paced(second, epoch, 100*time.Millisecond),
				paced(second, epoch.Add(1010*time.Millisecond), 100*time.Millisecond)), "granted"},
			{"two people behind one address", merged(
				paced(withPort(first, 1001), epoch, pause), paced(withPort(second, 1002), epoch.Add(pause/3), pause)), "granted, granted"},
			{"one a little later than the other", merged(
				paced(withPort(first, 1001), epoch, pause), paced(withPort(second, 1002), epoch.Add(pause*10+1), pause)), "granted, granted"},
			{"every packet with the same number", paced(sameSerial, epoch, pause), "granted"},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
				check(t, "said", toTheEnd(e, c.events), c.want)
			})
		}
	}
}

// Whatever was lost of a message before, and whatever is retransmitted of both, a whole
// message is granted once, and nothing else is said of either.
func TestOrderedLossAndRetransmission(t *testing.T) {
	all := orderedKeys(t)
	for seed := range uint64(thorough.Choose(400, 4000)) {
		rng := rand.New(rand.NewPCG(seed, 7))
		key := all[[]string{"article", "fwknop-1.9"}[rng.IntN(2)]][0]
		over := []carriers{tcp, udp, rotated}[rng.IntN(3)]
		var events []event
		at := epoch
		for attempt := range 2 {
			m := knockSSH(time.Time{})
			m.User = fmt.Sprint(attempt)
			packets := row(alice, key.message(t, m), over)
			for _, p := range packets {
				p.ID = uint16(1 + rng.IntN(1<<16-1)) // a new one per datagram
			}
			if attempt == 0 {
				i := rng.IntN(len(packets))
				packets = slices.Delete(packets, i, min(i+1+rng.IntN(3), len(packets)))
			}
			pause := time.Duration(20+rng.IntN(400)) * time.Millisecond
			for _, p := range packets {
				p.SrcPort = uint16(32768 + rng.IntN(28000)) // of each connection
				events = append(events, event{at, p})
				if rng.IntN(8) == 0 { // duplicated on its way
					events = append(events, event{at.Add(time.Duration(rng.IntN(2 * int(pause)))), p})
				}
				if p.Protocol == packet.UDP {
					continue // nothing retransmits a datagram
				}
				for _, rto := range []time.Duration{time.Second, 3 * time.Second, 7 * time.Second} {
					if rng.IntN(3) == 0 {
						events = append(events, event{at.Add(rto + time.Duration(rng.IntN(1000))*time.Microsecond), p})
					}
				}
				at = at.Add(pause)
			}
			at = at.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
		}
		slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
		e := engine(t, knock.Config{Accesses: []knock.Access{within(key, time.Minute)}})
		said := toTheEnd(e, events)
		if got := words(said); got != "granted" {
			t.Fatalf("seed %d: %q, want granted", seed, got)
		}
	}
}

// A salted message whose last byte may be the first of another one is not said to fit no
// key before the time of the knock is over.
func TestOrderedWrongKeyThatMayBeginAnew(t *testing.T) {
	key, wrong := fwknop19Key(t, "fwknoptest"), fwknop19Key(t, "another one")
	message := wrong.message(t, knockSSH(time.Time{}))
	for message[31] != seal.SaltMark[0] {
		message = wrong.message(t, knockSSH(time.Time{}))
	}
	e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
	check(t, "at once", send(e, epoch, row(alice, message, tcp)...), "")
	check(t, "in the end", e.Flush(epoch.Add(time.Minute)), "32: no key matches")
}

// A packet that the last one takes the place of is no part of a message any more, and no
// other stands for it.
func TestOrderedForgetsTheOldest(t *testing.T) {
	key := articleKey(t, "fwknoptest")
	var message []byte
	for i := 0; message == nil || message[0] != message[15]; i++ {
		m := knockSSH(time.Time{})
		m.User = fmt.Sprint(i)
		message = key.message(t, m)
	}
	whole := row(alice, message, tcp)
	for foreign, want := range map[int]bool{48: true, 49: false} {
		others := row(alice, bytes.Repeat([]byte{7}, foreign), tcp)
		for i, p := range others {
			p.SrcPort = uint16(1000 + i)
		}
		e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
		said := send(e, epoch, slices.Concat(whole[:1], others, whole[1:])...)
		if granted := words(said) == "granted"; granted != want {
			t.Errorf("%d packets from other ports in between: %q, want granted: %t", foreign, words(said), want)
		}
	}
}

func TestOrderedAllocatesNothing(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(keys[0])}})
		// No key opens it: a request would be allocated.
		junk := row(alice, slices.Repeat([]byte("S2345678"), seal.Fwknop19Len/8), tcp)
		mixed := row(alice, slices.Repeat([]byte("abcdefgh"), 16), tcp)
		for i, p := range mixed {
			p.SrcPort = uint16(1000 + i%2)
		}
		at := epoch
		allocs := testing.AllocsPerRun(10, func() {
			for _, p := range junk {
				at = at.Add(10 * time.Millisecond)
				e.Handle(at, p)
			}
			for _, p := range mixed {
				at = at.Add(10 * time.Millisecond)
				e.Handle(at, p)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations, want none", name, allocs)
		}
	}
}
