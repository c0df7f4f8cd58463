package knock

import (
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/totp"
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
		wrong += n.state.pairs / totp.Lanes
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
