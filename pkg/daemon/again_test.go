package daemon

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/port"
)

// A knock that comes again within five seconds counts if something that it opens has ended
// or was used up, and else not: nothing is granted or recorded, and the log says so once.
func TestAKnockThatComesAgain(t *testing.T) {
	const granted = "granted 192.0.2.1 access to"
	ssh, _ := port.ParseKnock("tcp/22")
	for name, c := range map[string]struct {
		policy string
		end    func(t *testing.T, k *keeper) // what becomes of the grants meanwhile
		want   []string                      // what the second knock has done
	}{
		"while they last": {"", func(*testing.T, *keeper) {}, nil},
		"with a limit":    {"limit = 5\n", func(*testing.T, *keeper) {}, nil},
		"after their end": {"", func(*testing.T, *keeper) { time.Sleep(31 * time.Second) }, []string{"grant tcp/22", "grant udp/1194"}},
		"one was used up": {"", func(t *testing.T, k *keeper) {
			used := gate.Grant{Source: gate.Host(asking(knock.None).Source), Service: ssh, Timeout: time.Second}
			if err := k.gate.Withdraw(used); err != nil {
				t.Fatal(err)
			}
		}, []string{"grant tcp/22", "grant udp/1194"}},
		"after their end, with a limit": {"limit = 5\n", func(*testing.T, *keeper) { time.Sleep(31 * time.Second) },
			[]string{"spend", "grant tcp/22", "grant udp/1194"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, d, log := keeping(t, c.policy)
				v := asking(knock.None)
				v.Request = nil // as of a shared sequence
				act(k, v)
				c.end(t, k)
				d.events = nil
				v.Again = true
				act(k, v)
				if !slices.Equal(d.events, c.want) {
					t.Errorf("%q, want %q", d.events, c.want)
				}
				times, said := 4, strings.Count(log.String(), granted)
				if c.want == nil {
					times = 2
				}
				if repeated := strings.Count(log.String(), "code=repeated"); said != times || repeated != (4-times)/2 {
					t.Errorf("%d times granted, want %d, and %d times repeated:\n%s", said, times, repeated, log)
				}
			})
		})
	}
}
