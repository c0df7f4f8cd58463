package knock_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
)

// sealer makes ordered knocks.
type sealer struct {
	knock.OrderedKey
	seal func(seal.Message) ([]byte, error)
}

func articleKey(t testing.TB, passphrase string) sealer {
	t.Helper()
	key, err := seal.NewArticle([]byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return sealer{key, key.Seal}
}

func fwknop19Key(t testing.TB, passphrase string) sealer {
	t.Helper()
	key, err := seal.NewFwknop19([]byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	salt := rand.NewChaCha8([32]byte{})
	return sealer{key, func(m seal.Message) ([]byte, error) { return key.Seal(m, salt) }}
}

func orderedAccess(s sealer) knock.Access {
	return knock.Access{Name: "ordered", Knock: knock.Ordered{
		Key: s.OrderedKey, Base: seal.DefaultBase, Protocols: both, Within: 10 * time.Second, Terms: opens(ssh),
	}}
}

// sequenceNumber makes every SYN another.
var sequenceNumber uint32

// row is bytes as packets, in their order.
func row(src netip.Addr, message []byte, over carriers) []*packet.Packet {
	packets := make([]*packet.Packet, len(message))
	for i, b := range message {
		packets[i] = touch(src, port.Single(over(i), seal.OrderedPort(seal.DefaultBase, b)))
		sequenceNumber++
		packets[i].SrcPort, packets[i].TCP.Seq = 33333, sequenceNumber
	}
	return packets
}

// orderedKeys are a right and a wrong key of each encoding.
func orderedKeys(t testing.TB) map[string][2]sealer {
	return map[string][2]sealer{
		"article":    {articleKey(t, "fwknoptest"), articleKey(t, "another one")},
		"fwknop-1.9": {fwknop19Key(t, "fwknoptest"), fwknop19Key(t, "another one")},
	}
}

func (s sealer) message(t testing.TB, m seal.Message) []byte {
	t.Helper()
	b, err := s.seal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOrderedKnock(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		key, wrong := keys[0], keys[1]
		message := key.message(t, knockSSH(time.Time{}))
		n := len(message)
		junk := []byte{1, 2, 3, message[0], message[0], 250}
		swapped := func(i int) []byte {
			b := bytes.Clone(message)
			b[i], b[i+1] = b[i+1], b[i]
			return b
		}
		refused := map[string]string{
			"article":    "16: no key matches",
			"fwknop-1.9": "32: no key matches",
		}[name]
		// Any scan leaves a few packets that may be half of an article message, but
		// only a salted one begins as it does.
		half := map[string]string{"article": "", "fwknop-1.9": "16: sequence not completed"}[name]
		retransmitted := row(alice, message, tcp)
		retransmitted = slices.Insert(retransmitted, 5, retransmitted[2], retransmitted[4])
		for _, c := range []struct {
			name    string
			packets []*packet.Packet
			want    string
		}{
			{"tcp", row(alice, message, tcp), "granted"},
			{"udp", row(alice, message, udp), "granted"},
			{"rotated", row(alice, message, rotated), "granted"},
			{"junk before", row(alice, slices.Concat(junk, message), rotated), "granted"},
			{"junk after", row(alice, slices.Concat(message, junk), rotated), "granted"},
			{"junk between", row(alice, slices.Concat(message[:9], junk, message[9:]), rotated), strings.Replace(refused, "16", "22", 1)},
			{"retransmitted between", retransmitted, "granted"},
			{"twice", row(alice, slices.Concat(message, message), rotated), "granted"},
			{"first two swapped", row(alice, swapped(0), tcp), refused},
			{"last two swapped", row(alice, swapped(n-2), tcp), refused},
			{"wrong key", row(alice, wrong.message(t, knockSSH(time.Time{})), tcp), refused},
			{"half", row(alice, message[:n/2], tcp), half},
			{"nearly all", row(alice, message[:n-1], tcp), fmt.Sprintf("%d: sequence not completed", n-1)},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
				said := send(e, epoch, c.packets...)
				said = append(said, e.Flush(epoch.Add(time.Minute))...)
				check(t, "said", said, c.want)
			})
		}
	}
}

func TestOrderedSaysNoKeyForSaltedAtOnce(t *testing.T) {
	key, wrong := fwknop19Key(t, "fwknoptest"), fwknop19Key(t, "another one")
	e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(key)}})
	packets := row(alice, wrong.message(t, knockSSH(time.Time{})), tcp)
	check(t, "31 of 32", send(e, epoch, packets[:31]...), "")
	check(t, "32 of 32", send(e, epoch, packets[31]), "32: no key matches")
	check(t, "again", send(e, epoch, row(alice, wrong.message(t, knockSSH(time.Time{})), tcp)...), "")
}

func TestOrderedRequest(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		message := keys[0].message(t, knockSSH(time.Time{}))
		e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(keys[0])}})
		first := send(e, epoch, row(alice, message, tcp)...)
		second := send(e, epoch.Add(time.Minute), row(bob, message, udp)...)
		check(t, name, append(first[:1:1], second...), "granted, granted")
		a, b := first[0].Request, second[0].Request
		if a.Token != b.Token || a.Token == [32]byte{} {
			t.Errorf("%s: tokens %x and %x, want the same", name, a.Token, b.Token)
		}
		if !a.Forget.IsZero() || a.Clock != 0 {
			t.Errorf("%s: to be forgotten at %v, clock %v, want never and none", name, a.Forget, a.Clock)
		}
		if a.Allow != alice || b.Allow != bob || a.User != "mbr" || !slices.Equal(a.Open, []port.Range{ssh}) {
			t.Errorf("%s: %+v, %+v", name, a, b)
		}
	}
}

func TestOrderedWithin(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		for lasts, want := range map[time.Duration]bool{10 * time.Second: true, 10*time.Second + 1: false} {
			e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(keys[0])}})
			packets := row(alice, keys[0].message(t, knockSSH(time.Time{})), tcp)
			last := len(packets) - 1
			e.Handle(epoch, packets[0])
			send(e, epoch.Add(5*time.Second), packets[1:last]...)
			said := e.Handle(epoch.Add(lasts), packets[last])
			if granted := len(said) == 1 && said[0].Granted(); granted != want {
				t.Errorf("%s in %v: %q", name, lasts, words(said))
			}
		}
	}
}

// The ports are those of fwknop 1.9.12 in Perl.
func TestOrderedVector(t *testing.T) {
	ports := []uint16{
		61083, 61097, 61108, 61116, 61101, 61100, 61095, 61095, 61053, 61251, 61064, 61213, 61063, 61090, 61053, 61030,
		61094, 61188, 61119, 61247, 61213, 61128, 61055, 61204, 61221, 61076, 61100, 61093, 61111, 61102, 61245, 61036,
	}
	var packets []*packet.Packet
	for _, n := range ports {
		packets = append(packets, touch(alice, port.Single(packet.TCP, n)))
	}
	e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(fwknop19Key(t, "fwknoptest"))}})
	said := send(e, epoch, packets...)
	check(t, "vector", said, "32: asks for another address than its own")
	r := said[0].Request
	if r.Allow != netip.MustParseAddr("127.0.0.2") || !slices.Equal(r.Open, []port.Range{ssh}) || r.User != "mbr" {
		t.Errorf("%+v", r)
	}
}

// Knocks of both encodings may come to the same ports.
func TestOrderedEncodingsSideBySide(t *testing.T) {
	keys := orderedKeys(t)
	article, salted := keys["article"][0], keys["fwknop-1.9"][0]
	e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(article), orderedAccess(salted)}})
	for i, key := range []sealer{article, salted} {
		said := send(e, epoch.Add(time.Duration(i)*time.Second), row(alice, key.message(t, knockSSH(time.Time{})), tcp)...)
		check(t, "side by side", said, "granted")
		if len(said) == 1 && said[0].Access != i {
			t.Errorf("access %d, want %d", said[0].Access, i)
		}
	}
}

func TestOrderedAdopt(t *testing.T) {
	for name, keys := range orderedKeys(t) {
		packets := row(alice, keys[0].message(t, knockSSH(time.Time{})), rotated)
		old := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(keys[0])}})
		check(t, name, send(old, epoch, packets[:10]...), "")
		e := engine(t, knock.Config{Accesses: []knock.Access{orderedAccess(keys[1]), orderedAccess(keys[0])}})
		e.Adopt(old)
		check(t, name, send(e, epoch.Add(time.Second), packets[10:]...), "granted")
	}
}
