// Package thorough is for tests that can try a thing any number of times.
// "make test" is to end while its caller waits, so they try few of them; with
// NFTKNOCK_THOROUGH=1 in the environment, as in .ci/run, they try all.
package thorough

import (
	"os"
	"time"
)

// All reports whether the run is thorough. Tests may ask for it to choose what
// is no number; for numbers there is Choose.
func All() bool { return os.Getenv("NFTKNOCK_THOROUGH") == "1" }

// Choose returns all in a thorough run and few in any other.
func Choose[N int | uint64 | time.Duration](few, all N) N {
	if All() {
		return all
	}
	return few
}
