package spa_test

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"

	"nftknock/pkg/spa"
)

// The first character of random base64 is not plausible in 15 of 16 cases.
func TestPlausibleRefusesRandomBase64(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 16_000
	passed := 0
	raw := make([]byte, 168)
	for range rounds {
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		payload := []byte(base64.RawStdEncoding.EncodeToString(raw))
		if spa.Plausible(append(payload, 'A')) { // 225 characters, as with SHA-256
			passed++
		}
	}
	if want := rounds / 16; passed < want*8/10 || passed > want*12/10 {
		t.Errorf("%d of %d passed, want about %d", passed, rounds, want)
	}
}
