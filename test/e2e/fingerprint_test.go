package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nftknock/test/lab"
)

// listen runs nftknockd fingerprint --live on the server.
func (s *stage) listen(args ...string) {
	s.Helper()
	var err error
	if s.daemon, err = s.StartDaemon(nil, append([]string{"fingerprint", "--live"}, args...)...); err != nil {
		s.Fatal(err)
	}
	s.await("listening for SYNs")
	s.Cleanup(func() {
		if status, err := s.daemon.Stop(); err != nil || status != 0 {
			s.Errorf("the listener ended with status %d, %v:\n%s", status, err, s.daemon.Log())
		}
	})
}

// nftknockd fingerprint --live prints each connection at once, over both IP versions, and
// recognises the operating system of this machine.
func TestFingerprintLive(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.listen("--json")
	c := s.Clients[0]
	for _, server := range []netip.Addr{lab.Server4, lab.Server6} {
		src := c.Addr4
		if server.Is6() {
			src = c.Addr6
		}
		conn, err := c.Dial(server, 22, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		s.await(`{"src":"` + src.String() + `","dst":"` + server.String() + `"`)
	}
	s.await(`"label":"Linux 4.19 or newer","family":"linux","flavour":"4.19 or newer","class":"os","confidence":"exact","distance":0`)
}
