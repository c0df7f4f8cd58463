package knock_test

import (
	"slices"
	"testing"
	"time"

	"nftknock/pkg/knock"
)

// A message that was granted in its first burst, and came in the second, has no other
// verdict when the next one begins.
func TestSIVNextMessageRepeatsNoVerdict(t *testing.T) {
	key := sivKey(t, 1)
	a := sivAccess(key)
	o := a.Knock.(knock.SIV)
	o.Within = time.Minute
	a.Knock = o
	for _, gap := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
		for _, ports := range []uint16{33333, 44444} {
			e := engine(t, knock.Config{Accesses: []knock.Access{a}})
			first := burst(alice, token(t, key, knockSSH(epoch)), rotated)
			next := fromPort(ports, burst(alice, token(t, key, knockSSH(epoch.Add(gap))), rotated))
			said := slices.Clone(send(e, epoch, first...))
			said = append(said, send(e, epoch.Add(300*time.Millisecond), first...)...)
			said = append(said, send(e, epoch.Add(gap), next...)...)
			said = append(said, send(e, epoch.Add(gap+300*time.Millisecond), next...)...)
			check(t, gap.String(), append(said, e.Flush(epoch.Add(2*time.Minute))...), "granted, granted")
		}
	}
}
