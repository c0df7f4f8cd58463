package knock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/totp"
	"nftknock/test/thorough"
)

// The tests of this file: packets of different attempts do not spoil each other.

// patientCode is an access with a time that several codes fit in, as by default.
func patientCode(t testing.TB, n uint32) knock.Access {
	a := totpAccess("phone", totpSecret(t, n))
	o := a.Knock.(knock.TOTP)
	o.Within, o.MaxAttempts = time.Minute, 10
	a.Knock = o
	return a
}

// lanes picks some packets of a code.
func lanes(packets []*packet.Packet, numbers ...int) (some []*packet.Packet) {
	for _, n := range numbers {
		some = append(some, packets[n])
	}
	return some
}

// part is what comes of an attempt at some time after the epoch.
type part struct {
	after   time.Duration
	packets []*packet.Packet
}

// playParts feeds parts in the order of their times, and a minute of silence.
func playParts(e *knock.Engine, parts []part) (said []knock.Verdict) {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b part) int { return int(a.after - b.after) })
	for _, p := range parts {
		said = append(said, send(e, epoch.Add(p.after), p.packets...)...)
	}
	return append(said, e.Flush(epoch.Add(parts[len(parts)-1].after+time.Minute))...)
}

func TestTOTPLoss(t *testing.T) {
	const s = time.Second
	secret := totpSecret(t, 1)
	code := func(after time.Duration) []*packet.Packet {
		return dial(alice, secret.Code(totp.Step(epoch.Add(after))))
	}
	a, b, c := code(0), code(30*s), code(60*s)
	early := code(30 * s) // b's code for those who send it before
	wrong, other := dial(alice, 12345678), dial(alice, 87654321)
	last := func(p []*packet.Packet, i int) []*packet.Packet { // the lanes but one, and then that one
		return append(slices.Delete(slices.Clone(p), i, i+1), p[i])
	}
	type test struct {
		name  string
		parts []part
		want  string
	}
	var tests []test
	for i := range totp.Lanes {
		without := slices.Delete(slices.Clone(a), i, i+1)
		for j := range totp.Lanes {
			tests = append(tests, test{fmt.Sprintf("lane %d lost, then lane %d last", i, j),
				[]part{{0, without}, {30 * s, last(b, j)}}, "granted"})
			if i != j {
				two := slices.DeleteFunc(slices.Clone(a), func(p *packet.Packet) bool { return p == a[i] || p == a[j] })
				tests = append(tests,
					test{fmt.Sprintf("lanes %d and %d lost", i, j), []part{{0, two}, {30 * s, b}}, "granted"},
					test{fmt.Sprintf("lanes %d and %d lost, %[1]d late among the next code", i, j),
						[]part{{0, two}, {7 * s, a[i : i+1]}, {6999 * time.Millisecond, early}}, "granted"})
			}
		}
		tests = append(tests,
			test{fmt.Sprintf("lane %d late, in the middle of the next code", i),
				[]part{{0, without}, {6*s + 2*time.Millisecond, early[:2]}, {7 * s, a[i : i+1]}, {7*s + time.Millisecond, early[2:]}}, "granted, granted"},
			test{fmt.Sprintf("lane %d lost, all others again later", i),
				[]part{{0, without}, {1 * s, without}, {3 * s, without}, {6 * s, early}, {7 * s, without}}, "granted"},
			test{fmt.Sprintf("lane %d lost of two codes", i),
				[]part{{0, without}, {30 * s, slices.Delete(slices.Clone(b), i, i+1)}, {60 * s, c}}, "granted"},
			test{fmt.Sprintf("lane %d lost, lane %d of the next", i, (i+1)%4),
				[]part{{0, without}, {30 * s, slices.Delete(slices.Clone(b), (i+1)%4, (i+1)%4+1)}, {60 * s, c}}, "granted"},
			test{fmt.Sprintf("lane %d lost, then a wrong code", i), []part{{0, without}, {5 * s, wrong}}, "4: no key matches"},
			test{fmt.Sprintf("lane %d of a wrong code lost, then a right one", i),
				[]part{{0, slices.Delete(slices.Clone(wrong), i, i+1)}, {5 * s, a}}, "granted"},
		)
	}
	tests = append(tests,
		test{"right, then its repetitions", []part{{0, a}, {s, a}, {3 * s, a}, {7 * s, a}}, "granted"},
		test{"right, then its repetitions, then the next", []part{{0, a}, {s, a}, {3 * s, a}, {6 * s, early}, {7 * s, a}}, "granted, granted"},
		test{"right, then again as new packets", []part{{0, a}, {5 * s, code(0)}}, "granted, granted"},
		test{"right, then at once as new packets", []part{{0, a}, {s, code(0)}}, "granted"},
		test{"wrong, then its repetitions", []part{{0, wrong}, {s, wrong}, {3 * s, wrong}, {7 * s, wrong}}, "4: no key matches"},
		test{"wrong, at once as new packets", []part{{0, wrong}, {s, dial(alice, 12345678)}}, "4: no key matches"},
		test{"wrong, then right", []part{{0, wrong}, {s, wrong}, {2 * s, a}, {3 * s, wrong}}, "4: no key matches, granted"},
		test{"two wrong", []part{{0, wrong}, {2 * s, other}}, "4: no key matches, 4: no key matches"},
		test{"one pair wrong, and typed again", []part{{0, lanes(a, 0, 1, 2)}, {0, lanes(wrong, 3)}, {5 * s, lanes(a, 3)}}, "granted"},
		test{"too slow", []part{{0, lanes(a, 0, 1, 2)}, {61 * s, lanes(a, 3)}}, ""},
	)
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			e := engine(t, knock.Config{Accesses: []knock.Access{patientCode(t, 1)}})
			check(t, "said", playParts(e, c.parts), c.want)
		})
	}
}

// A code that is right but too slow for its access is refused as such, and once.
func TestTOTPTooSlow(t *testing.T) {
	hasty, patient := totpAccess("hasty", totpSecret(t, 1)), patientCode(t, 2)
	e := engine(t, knock.Config{Accesses: []knock.Access{hasty, patient}})
	packets := dial(alice, totpSecret(t, 1).Code(totp.Step(epoch)))
	check(t, "said", playParts(e, []part{{0, packets[:3]}, {11 * time.Second, packets[3:]}}), "4: packets too far apart")
}

// Two people behind one address may knock at the same moment, in any mixture.
func TestTOTPTwoBehindOneAddress(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range thorough.Choose(200, 1500) {
		e := engine(t, knock.Config{Accesses: []knock.Access{patientCode(t, 1), patientCode(t, 2)}})
		p := dial(alice, totpSecret(t, 1).Code(totp.Step(epoch)))
		q := dial(alice, totpSecret(t, 2).Code(totp.Step(epoch)))
		said := playParts(e, []part{{0, shuffled(rng, slices.Concat(p, q))}})
		check(t, "said", said, "granted, granted")
	}
}

// attempt is a code that was sent, and when the last of its lanes came first.
type attempt struct {
	code uint32
	all  bool // its lanes came
}

// alike reports whether two codes have a pair in common.
func alike(a, b uint32) bool {
	p, q := totp.Pairs(a), totp.Pairs(b)
	for i := range p {
		if p[i] == q[i] {
			return true
		}
	}
	return false
}

// lossyCodes are the events of a person who sends a code per step, of which packets
// are lost and sent again.
func lossyCodes(rng *rand.Rand, secret *totp.Secret) (events []event, attempts []attempt) {
	at := epoch
	for range 2 + rng.IntN(5) {
		at = at.Truncate(totp.Period).Add(totp.Period).Add(time.Duration(rng.IntN(30_000)) * time.Millisecond)
		if n := len(events); n > 0 && at.Before(events[n-1].at) {
			at = events[n-1].at
		}
		a := attempt{secret.Code(totp.Step(at)), true}
		if slices.ContainsFunc(attempts, func(b attempt) bool { return alike(a.code, b.code) }) {
			continue // a pair of one may be right in the other
		}
		lost := rng.Perm(totp.Lanes)[:rng.IntN(3)]
		pace := time.Duration(rng.IntN(3)) * 300 * time.Millisecond
		packets := dial(alice, a.code)
		for place, lane := range rng.Perm(totp.Lanes) {
			start, came := at.Add(time.Duration(place)*pace), false
			for i, after := range []time.Duration{0, 1, 3, 7} {
				gone := i == 0 && slices.Contains(lost, lane)
				if !gone && (i == 0 || rng.IntN(3) == 0) {
					jitter := time.Duration(rng.IntN(20)) * time.Millisecond
					events = append(events, event{start.Add(after*time.Second + jitter), packets[lane]})
					came = true
				}
			}
			a.all = a.all && came
		}
		attempts = append(attempts, a)
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	return events, attempts
}

// Whatever is lost or late: a code whose lanes all came in time is granted once, and no
// code is called wrong where none was.
func TestTOTPLossyCodes(t *testing.T) {
	secret := totpSecret(t, 1)
	failed := 0
	for seed := range uint64(thorough.Choose(600, 5000)) {
		events, attempts := lossyCodes(rand.New(rand.NewPCG(seed, 2)), secret)
		e := engine(t, knock.Config{Accesses: []knock.Access{patientCode(t, 1)}})
		said := append(feed(e, events), e.Flush(events[len(events)-1].at.Add(time.Minute))...)
		granted := 0
		for _, a := range attempts {
			if a.all {
				granted++
			}
		}
		tokens := make(map[[32]byte]int)
		bad := false
		for _, v := range said {
			if !v.Granted() {
				bad = true
				continue
			}
			tokens[v.Request.Token]++
			bad = bad || tokens[v.Request.Token] > 1
		}
		if bad || len(tokens) != granted {
			t.Errorf("seed %d: %q, want %d granted, each once", seed, words(said), granted)
			if failed++; failed > 10 {
				t.FailNow()
			}
		}
	}
}
