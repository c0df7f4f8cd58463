package knock

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/spa"
)

// A knock that there was no time to look at is refused when it expires, however
// good it was, and its verdict has the token, so that it can be spent.
func TestNothingIsGrantedLate(t *testing.T) {
	key, err := seal.NewSIV(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{MaxSources: 256, Accesses: []Access{{Name: "ssh", Knock: SIV{
		Key: key, Base: seal.DefaultLaneBase, Protocols: []packet.Protocol{packet.UDP}, Within: time.Minute,
		Terms: Terms{Open: []port.Range{{Protocol: packet.TCP, First: 1, Last: 65535}}, Window: time.Minute},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	token, err := key.Seal(seal.Message{Protocol: 6, Port: 22, User: "mbr", Time: now})
	if err != nil {
		t.Fatal(err)
	}
	send := func(src netip.Addr, at time.Time, lane int, b byte) []Verdict {
		return e.Handle(at, &packet.Packet{
			Version: 4, Protocol: packet.UDP, Src: src, DstPort: seal.LanePort(seal.DefaultLaneBase, lane, b),
		})
	}
	alice, eve := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	e.clock(now)
	for lane, b := range token {
		e.work.totals[workSIV] = bucket{spent: totalBurst} // by others, just now
		if said := send(alice, now, lane, b); len(said) != 0 {
			t.Fatalf("at byte %d: %+v", lane, said)
		}
	}
	if e.Untried() == 0 {
		t.Fatal("it was looked at all the same")
	}
	said := send(eve, now.Add(5*time.Minute), 0, 0)
	if len(said) != 1 || said[0].Reason != Late || said[0].Request == nil || said[0].Source != alice {
		t.Errorf("%+v, want alice's knock refused as late, with its token", said)
	}
}

// What a flood of SPA packets may cost is not taken from other kinds.
func TestKindsHaveBudgetsOfTheirOwn(t *testing.T) {
	w := newWork()
	flooder, honest := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	w.budget(workSPA, flooder, 0).total.spent = totalBurst
	if w.budget(workSPA, honest, 0).spend(1) {
		t.Error("more was spent on SPA than there was")
	}
	if !w.budget(workSIV, honest, 0).spend(1) {
		t.Error("nothing was left for SIV")
	}
}

// A site of IPv6 has as many addresses as it likes.
func TestASiteIsOneSource(t *testing.T) {
	w := newWork()
	w.budget(workSIV, netip.MustParseAddr("2001:db8:1:2::1"), 0).source.spent = sourceBurst
	if w.budget(workSIV, netip.MustParseAddr("2001:db8:1:2:ffff::9"), 0).spend(1) {
		t.Error("another address of the same /64 had a budget of its own")
	}
}

// A packet whose HMAC is right is read to its end, whatever is left.
func TestAuthenticPacketsAreRead(t *testing.T) {
	key, err := spa.NewKey(spa.Config{Key: make([]byte, 32), HMACKey: make([]byte, 32), HMAC: spa.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{MaxSources: 256, Accesses: []Access{{Name: "ssh", Knock: SPA{
		Key: key, Port: 62201, Terms: Terms{Open: []port.Range{{Protocol: packet.TCP, First: 1, Last: 65535}}, Window: time.Minute},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	payload, err := key.Seal(spa.Message{
		User: "mbr", Time: now, Type: spa.Access, Services: []port.Range{port.Single(packet.TCP, 22)}, Digest: spa.SHA256,
	}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	alice := netip.MustParseAddr("192.0.2.1")
	e.clock(now)
	e.work.budget(workSPA, alice, 0).source.spent = sourceBurst - 1
	said := e.Handle(now, &packet.Packet{
		Version: 4, Protocol: packet.UDP, Src: alice, DstPort: 62201, Payload: payload,
	})
	if len(said) != 1 || !said[0].Granted() {
		t.Errorf("%+v, want it granted", said)
	}
}
