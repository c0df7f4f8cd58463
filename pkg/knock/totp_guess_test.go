package knock

import (
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/totp"
	"nftknock/test/thorough"
)

// guesser is an attacker who sends pairs, each as a packet of its own.
type guesser struct {
	engine *Engine
	source uint32
	serial uint32
	// tried are the codes that were looked up, by the source.
	tried map[[2]uint32]bool
}

func newGuesser(t *testing.T, attempts int) *guesser {
	t.Helper()
	secret, err := totp.ParseSecret([]byte(base32.StdEncoding.EncodeToString(make([]byte, 20))), totp.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{MaxSources: 1 << 12, Accesses: []Access{{Name: "phone", Knock: TOTP{
		Secret: secret, Base: totp.DefaultBase, Protocols: []packet.Protocol{packet.TCP}, Within: time.Minute, MaxAttempts: attempts,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	g := &guesser{engine: e, tried: make(map[[2]uint32]bool)}
	e.totp.looked = func(code uint32) { g.tried[[2]uint32{g.source, code}] = true }
	return g
}

// send sends a value in a lane at a time.
func (g *guesser) send(at time.Time, lane, value int) {
	g.serial++
	var src [4]byte
	binary.BigEndian.PutUint32(src[:], 0x0a000000+g.source)
	p := &packet.Packet{
		Src: netip.AddrFrom4(src), Protocol: packet.TCP, SrcPort: 44444,
		DstPort: uint16(totp.DefaultBase + lane*totp.LaneWidth + value),
	}
	p.TCP.Flags, p.TCP.Seq = packet.SYN, g.serial
	g.engine.Handle(at, p)
}

// counted is how many wrong codes of the source count in its step.
func (g *guesser) counted() (wrong int) {
	for n := range g.engine.totp.table.all() {
		wrong += n.state.wrongCodes(0, &n.state.misses)
	}
	return wrong
}

// An attacker has a few guesses per wrong code that is counted: eight for the first,
// four for each more and three. The strategies are the order of the lanes; values are
// new ones, or repeat the one before them, or go back to it.
func TestTOTPGuessesPerWrongCode(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	strategies := map[string]func(i int, rng *rand.Rand) (lane, value int){
		"whole codes":             func(i int, _ *rand.Rand) (int, int) { return i % 4, i / 4 % 100 },
		"one lane, then its next": func(i int, _ *rand.Rand) (int, int) { return i / 2 % 4, i % 100 },
		"the last lane alone":     func(i int, _ *rand.Rand) (int, int) { return min(i, 3), i % 100 },
		"two values in turn":      func(i int, _ *rand.Rand) (int, int) { return i % 4, i / 4 % 2 },
		"whole codes twice":       func(i int, _ *rand.Rand) (int, int) { return i % 4, i / 8 % 100 },
		"hidden in repetitions": func(i int, _ *rand.Rand) (int, int) {
			if i < totp.Lanes {
				return i, 7
			}
			return [...]int{0, 0, 1, 2}[i%4], [...]int{8 + i/4, 7, 7, 7}[i%4]
		},
		"the same code":        func(i int, _ *rand.Rand) (int, int) { return i % 4, 7 },
		"any lane":             func(_ int, rng *rand.Rand) (int, int) { return rng.IntN(4), rng.IntN(100) },
		"any lane, few values": func(_ int, rng *rand.Rand) (int, int) { return rng.IntN(4), rng.IntN(3) },
	}
	most := 0.0
	for name, next := range strategies {
		for seed := range uint64(50) {
			rng := rand.New(rand.NewPCG(seed, 5))
			g := newGuesser(t, 1000)
			for i := range 200 {
				lane, value := next(i, rng)
				g.send(start.Add(time.Duration(i)*time.Millisecond), lane, value)
				looked, wrong := len(g.tried), g.counted()
				if looked > 4*wrong+7 || wrong == 0 && looked > 0 || wrong == 1 && looked > 8 {
					t.Fatalf("%s, seed %d: %d choices looked at with %d wrong codes counted", name, seed, looked, wrong)
				}
				if wrong > 2 {
					most = max(most, float64(looked)/float64(wrong))
				}
			}
			if g.counted() == 0 {
				t.Errorf("%s: nothing was counted", name)
			}
		}
	}
	t.Logf("%.1f choices per wrong code at most, of three or more", most)
	if most < 4 {
		t.Errorf("%.1f choices per wrong code at most: the attackers are no good", most)
	}
}

// Many sources, each with as many pairs as one wrong code costs, have the access closed
// to all before they have looked at more than eight choices per attempt.
func TestTOTPGuessesOfManySources(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const attempts = 10
	for pairs := 4; pairs <= 11; pairs++ {
		g := newGuesser(t, attempts)
		group := g.engine.totp.list[0]
		for len(group.wrong) <= attempts {
			g.source++
			for i := range pairs {
				g.send(start, i%totp.Lanes, i)
			}
		}
		if most := 8 * (attempts + 2); len(g.tried) > most {
			t.Errorf("%d pairs per source: %d choices looked at, want at most %d", pairs, len(g.tried), most)
		}
		t.Logf("%d pairs per source: %d choices looked at before the access is closed", pairs, len(g.tried))
	}
}

// What a source sent in the step before buys nothing in this one: the first choice that is
// looked at counts.
func TestTOTPGuessesAfterAStep(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for before := range 13 {
		for after := 1; after <= 12; after++ {
			g := newGuesser(t, 1000)
			for i := range before {
				g.send(start.Add(29*time.Second), i%totp.Lanes, i)
			}
			clear(g.tried)
			for i := range after {
				g.send(start.Add(totp.Period), (before+i)%totp.Lanes, 50+i)
			}
			looked, wrong := len(g.tried), len(g.engine.totp.list[0].wrong)
			if looked > 0 && wrong == 0 || wrong == 1 && looked > 8 || looked > 4*wrong+7 {
				t.Errorf("%d pairs, and %d in the next step: %d choices looked at with %d wrong codes counted", before, after, looked, wrong)
			}
		}
	}
}

// Who knows right codes, since they have a key of the same ports or have seen somebody's
// codes, does not get free guesses by them: pairs that a right code took back would cost
// nothing, and many sources could try any number of them.
func TestTOTPGuessesAreNotTakenBack(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const attempts, sources = 10, 500
	for wrong := 1; wrong < totp.Lanes; wrong++ {
		for name, steps := range map[string][]int64{"one code": {0}, "three codes in turn": {-1, 0, 1}} {
			g := newGuesser(t, attempts)
			group := g.engine.totp.list[0]
			var codes [][totp.Lanes]int
			for _, step := range steps {
				codes = append(codes, totp.Pairs(group.keys[0].Secret.Code(totp.Step(start)+step)))
			}
			for int(g.source) < sources && len(group.wrong) <= attempts {
				g.source++
				for _, code := range codes {
					// Pairs of the right code, others in place of the rest, and then the rest.
					for lane := wrong; lane < totp.Lanes; lane++ {
						g.send(start, lane, code[lane])
					}
					for lane := range wrong {
						g.send(start, lane, foreign(codes, lane, int(g.source)))
					}
					for lane := range wrong {
						g.send(start, lane, code[lane])
					}
				}
			}
			guesses := 0
			for try := range g.tried {
				if isGuess(codes, try[1]) {
					guesses++
				}
			}
			if most := missesPerCode * (attempts + 2); guesses > most || guesses == 0 {
				t.Errorf("%d wrong pairs, %s: %d wrong codes looked at, want at most %d", wrong, name, guesses, most)
			}
			t.Logf("%d wrong pairs, %s: %d wrong codes looked at before the access is closed", wrong, name, guesses)
		}
	}
}

// The same for packets in any order, with codes that are not valid yet or any more: there is
// no guess while no wrong code counts.
func TestTOTPGuessesAmidRightCodes(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for seed := range uint64(thorough.Choose(1000, 2000)) {
		rng := rand.New(rand.NewPCG(seed, 7))
		g := newGuesser(t, 1000)
		var codes [][totp.Lanes]int
		for step := range int64(knownSteps) {
			codes = append(codes, totp.Pairs(g.engine.totp.list[0].keys[0].Secret.Code(totp.Step(start)+1-step)))
		}
		share, whole := rng.Float64(), rng.IntN(2) == 0
		for i := range 200 {
			at := start.Add(time.Duration(i) * 100 * time.Millisecond)
			code, lane := codes[rng.IntN(len(codes))], rng.IntN(totp.Lanes)
			switch {
			case rng.Float64() < share:
				g.send(at, lane, foreign(codes, lane, rng.IntN(totp.LaneWidth)))
			case whole:
				for lane, value := range code {
					g.send(at, lane, value)
				}
			default:
				g.send(at, lane, code[lane])
			}
			guesses, wrong := 0, g.counted()
			for try := range g.tried {
				if isGuess(codes, try[1]) {
					guesses++
				}
			}
			if guesses > missesPerCode*wrong {
				t.Fatalf("seed %d: %d wrong codes looked at with %d counted", seed, guesses, wrong)
			}
		}
	}
}

// foreign returns a value that no right code has in a lane: the given one, or the next.
func foreign(codes [][totp.Lanes]int, lane, value int) int {
	value %= totp.LaneWidth
	for slices.ContainsFunc(codes, func(c [totp.Lanes]int) bool { return c[lane] == value }) {
		value = (value + 1) % totp.LaneWidth
	}
	return value
}

// isGuess reports whether a code has a pair that no right code has in its lane.
func isGuess(codes [][totp.Lanes]int, code uint32) bool {
	for lane, value := range totp.Pairs(code) {
		if !slices.ContainsFunc(codes, func(c [totp.Lanes]int) bool { return c[lane] == value }) {
			return true
		}
	}
	return false
}
