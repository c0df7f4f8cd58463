package knock_test

import (
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
)

// progress is how much of the right knocks a source has sent, by a rule that is
// written for clarity alone: a knock that is granted must be complete.
type progress struct {
	lanes  [seal.SIVLen6]bool
	digits [totp.Lanes]bool
	row    int
}

// complete reports whether a knock of each kind is there.
func (p *progress) complete(access int, sealed []byte, article []byte) bool {
	switch access {
	case 0:
		for _, there := range p.lanes[:len(sealed)] {
			if !there {
				return false
			}
		}
		return true
	case 1:
		return p.row == len(article)
	}
	return p.digits == [totp.Lanes]bool{true, true, true, true}
}

// FuzzKeys turns bytes into packets of two sources to the ports of a sealed
// knock, an ordered one and a one-time code: right bytes and wrong ones. Nothing
// is granted to a source that has not sent all of a right knock.
func FuzzKeys(f *testing.F) {
	siv, rows, secret := sivKey(f, 1), articleKey(f, "fwknoptest"), totpSecret(f, 1)
	sealed := token(f, siv, knockSSH(epoch))
	article := rows.message(f, knockSSH(time.Time{}))
	pairs := totp.Pairs(secret.Code(totp.Step(epoch)))
	accesses := []knock.Access{sivAccess(siv), orderedAccess(rows), totpAccess("phone", secret)}

	var whole, ordered []byte
	for i := range sealed {
		whole = append(whole, 0x10, byte(i), 0)
	}
	for i := range article {
		ordered = append(ordered, 0x11, byte(i), 0)
	}
	code := []byte{0x12, 0, 0, 0x12, 1, 0, 0x12, 2, 0, 0x12, 3, 0}
	for _, seed := range [][]byte{whole, ordered, code, append(append([]byte{0, 3, 9, 1, 3, 9, 2, 3, 9}, code...), whole...)} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 3*256 {
			return
		}
		const bound = 16 + 16 + 64 // of all kinds, the least there is
		e := engine(t, knock.Config{Accesses: accesses, MaxSources: 1})
		sent := map[netip.Addr]*progress{alice: {}, bob: {}}
		now := epoch
		// The first byte of three says which kind and source, and if the value is
		// the right one; the second the place; the third the value, or the time.
		for ; len(data) >= 3; data = data[3:] {
			kind, right, place, value := data[0]&0xf%3, data[0]&0x10 != 0, int(data[1]), data[2]
			src := alice
			if data[0]&0x80 != 0 {
				src = bob
			}
			if right {
				now = now.Add(time.Duration(value) * time.Millisecond)
			}
			p := sent[src]
			el := port.Range{Protocol: rotated(place)}
			switch kind {
			case 0:
				place %= seal.SIVLen6
				if right && place < len(sealed) {
					value = sealed[place]
				}
				p.lanes[place] = p.lanes[place] || place < len(sealed) && value == sealed[place]
				el.First = seal.LanePort(seal.DefaultLaneBase, place, value)
			case 1:
				if right {
					value = article[place%len(article)]
				}
				if p.row < len(article) && value == article[p.row] {
					p.row++
				}
				el.First = seal.OrderedPort(seal.DefaultBase, value)
			case 2:
				place %= totp.Lanes
				if right {
					value = byte(pairs[place])
				}
				value %= totp.LaneWidth
				p.digits[place] = p.digits[place] || int(value) == pairs[place]
				el.First = totp.DefaultBase + uint16(place*totp.LaneWidth) + uint16(value)
			}
			for _, v := range e.Handle(now, touch(src, el)) {
				if v.Granted() && (v.Source != src || !p.complete(v.Access, sealed, article)) {
					t.Fatalf("granted %d to %v, which sent %+v", v.Access, v.Source, p)
				}
			}
			if n := e.Stats().Sources; n > bound {
				t.Fatalf("%d half-done knocks, %d allowed", n, bound)
			}
		}
	})
}

func TestFloodsOfSourcesAreBounded(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{
		sivAccess(sivKey(t, 1)), orderedAccess(articleKey(t, "fwknoptest")), totpAccess("phone", totpSecret(t, 1)),
	}, MaxSources: 1024})
	for i := range uint32(10_000) {
		for _, n := range []uint16{seal.DefaultLaneBase, seal.DefaultBase, totp.DefaultBase} {
			e.Handle(epoch, touch(address(i), port.Single(packet.UDP, n)))
		}
	}
	const want = 64 + 64 + 256
	if n := e.Stats().Sources; n != want {
		t.Errorf("%d half-done knocks, want %d", n, want)
	}
	if e.Stats().Evicted == 0 {
		t.Error("none evicted")
	}
}
