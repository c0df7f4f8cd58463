package knock_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/test/thorough"
)

var (
	ssh   = port.Single(packet.TCP, 22)
	both  = []packet.Protocol{packet.TCP, packet.UDP}
	carol = netip.MustParseAddr("198.51.100.3")
)

// opens are the terms of an access that opens some ports.
func opens(ports ...port.Range) knock.Terms {
	return knock.Terms{
		Open:   ports,
		Window: time.Minute,
	}
}

// number is a key's worth of bytes for a number.
func number(n uint32) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(nil, n))
	return sum[:]
}

func sivKey(t testing.TB, n uint32) *seal.SIV {
	t.Helper()
	key, err := seal.NewSIV(number(n))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sivAccess is one that opens tcp/22 to whoever has its key.
func sivAccess(key *seal.SIV) knock.Access {
	return knock.Access{Name: "sealed", Knock: knock.SIV{
		Key: key, Base: seal.DefaultLaneBase, Protocols: both, Within: 10 * time.Second, Terms: opens(ssh),
	}}
}

// sivWith is an access with some changes to its terms.
func sivWith(key *seal.SIV, change func(*knock.Terms)) knock.Access {
	a := sivAccess(key)
	s := a.Knock.(knock.SIV)
	change(&s.Terms)
	a.Knock = s
	return a
}

// knockSSH asks for tcp/22 for whoever sends it.
func knockSSH(at time.Time) seal.Message {
	return seal.Message{Protocol: 6, Port: 22, User: "mbr", Time: at}
}

func token(t testing.TB, key *seal.SIV, m seal.Message) []byte {
	t.Helper()
	b, err := key.Seal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wide makes the token one of 50 bytes, which names no address either.
func wide(m seal.Message) seal.Message {
	m.Address = netip.IPv6Unspecified()
	return m
}

// carriers are the protocols of the packets of a knock.
type carriers func(i int) packet.Protocol

func tcp(int) packet.Protocol { return packet.TCP }
func udp(int) packet.Protocol { return packet.UDP }
func rotated(i int) packet.Protocol {
	return []packet.Protocol{packet.TCP, packet.UDP}[i%2]
}

// burst is a token as packets, in order and all from one port.
func burst(src netip.Addr, token []byte, over carriers) []*packet.Packet {
	packets := make([]*packet.Packet, len(token))
	for i, b := range token {
		n := seal.LanePort(seal.DefaultLaneBase, i, b)
		packets[i] = touch(src, port.Single(over(i), n))
		packets[i].SrcPort = 33333
	}
	return packets
}

// fromPort has packets come from a port.
func fromPort(port uint16, packets []*packet.Packet) []*packet.Packet {
	for _, p := range packets {
		p.SrcPort = port
	}
	return packets
}

// fromAnyPorts has each packet come from a port of its own.
func fromAnyPorts(rng *rand.Rand, packets []*packet.Packet) []*packet.Packet {
	for i, p := range packets {
		q := *p
		q.SrcPort = uint16(1024 + rng.IntN(60000))
		packets[i] = &q
	}
	return packets
}

func shuffled(rng *rand.Rand, packets []*packet.Packet) []*packet.Packet {
	packets = slices.Clone(packets)
	rng.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
	return packets
}

// interleaved takes from two senders in turn.
func interleaved(a, b []*packet.Packet) (all []*packet.Packet) {
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			all = append(all, a[i])
		}
		if i < len(b) {
			all = append(all, b[i])
		}
	}
	return all
}

// send feeds packets, a millisecond apart.
func send(e *knock.Engine, at time.Time, packets ...*packet.Packet) (said []knock.Verdict) {
	for i, p := range packets {
		said = append(said, e.Handle(at.Add(time.Duration(i)*time.Millisecond), p)...)
	}
	return said
}

// words are what is said in several verdicts.
func words(verdicts []knock.Verdict) string {
	var said []string
	for _, v := range verdicts {
		said = append(said, say(v))
	}
	return strings.Join(said, ", ")
}

func check(t testing.TB, what string, verdicts []knock.Verdict, want string) {
	t.Helper()
	if got := words(verdicts); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestSIVKnock(t *testing.T) {
	key := sivKey(t, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, src := range []netip.Addr{alice, bob} {
		for _, message := range []seal.Message{knockSSH(epoch), wide(knockSSH(epoch))} {
			for name, over := range map[string]carriers{"tcp": tcp, "udp": udp, "rotated": rotated} {
				b := burst(src, token(t, key, message), over)
				doubled := slices.Concat(b, b)
				for i := range b {
					doubled[2*i], doubled[2*i+1] = b[i], b[i]
				}
				for order, packets := range map[string][]*packet.Packet{
					"in order": b, "shuffled": shuffled(rng, b), "doubled": doubled,
					"doubled and shuffled":  shuffled(rng, doubled),
					"twice":                 slices.Concat(b, b),
					"twice, from any ports": fromAnyPorts(rng, slices.Concat(b, b)),
					"shuffled twice":        slices.Concat(shuffled(rng, b), shuffled(rng, b)),
				} {
					e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
					said := send(e, epoch, packets...)
					check(t, fmt.Sprintf("%v %d %s %s", src, len(b), name, order), said, "granted")
					if len(said) == 1 && (said[0].Source != src || said[0].Step != len(b) || said[0].Access != 0) {
						t.Errorf("%+v", said[0])
					}
					check(t, "afterwards", e.Flush(epoch.Add(time.Minute)), "")
				}
			}
		}
	}
}

func TestSIVRequest(t *testing.T) {
	key := sivKey(t, 1)
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
	at := epoch.Add(1500 * time.Millisecond)
	b := token(t, key, knockSSH(epoch.Add(11*time.Second)))
	said := send(e, at, burst(alice, b, udp)...)
	check(t, "knock", said, "granted")
	got := said[0].Request
	if got.Allow != alice || !slices.Equal(got.Open, []port.Range{ssh}) || got.User != "mbr" || got.Timeout != 0 ||
		got.Clock != 10*time.Second || got.Token != sha256.Sum256(b) {
		t.Errorf("%+v", got)
	}
	if want := epoch.Add(11*time.Second + knock.MaxWindow + time.Second); !got.Forget.Equal(want) {
		t.Errorf("to be forgotten at %v, want %v", got.Forget, want)
	}
}

func TestSIVRepetitions(t *testing.T) {
	key := sivKey(t, 1)
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
	b := burst(alice, token(t, key, knockSSH(epoch)), rotated)
	var tokens [][32]byte
	for _, c := range []struct {
		at   time.Duration
		want string
	}{{0, "granted"}, {500 * time.Millisecond, ""}, {2900 * time.Millisecond, ""}, {6 * time.Second, "granted"}, {7 * time.Second, ""}} {
		said := send(e, epoch.Add(c.at), b...)
		check(t, c.at.String(), said, c.want)
		for _, v := range said {
			tokens = append(tokens, v.Request.Token)
		}
	}
	if len(tokens) != 2 || tokens[0] != tokens[1] {
		t.Errorf("tokens %x, want the same twice", tokens)
	}
}

func TestSIVLossAndJunk(t *testing.T) {
	key := sivKey(t, 1)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, message := range []seal.Message{knockSSH(epoch), wide(knockSSH(epoch))} {
		tok := token(t, key, message)
		for range 50 {
			e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
			first, second := burst(alice, tok, rotated), burst(alice, tok, rotated)
			lost := rng.Perm(len(tok))
			first, second = slices.Delete(first, lost[0], lost[0]+1), slices.Delete(second, lost[1], lost[1]+1)
			check(t, "lost", send(e, epoch, slices.Concat(first, second)...), "granted")
		}
		for lanes := range 6 {
			e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
			junk := bytes.Clone(tok)
			places := rng.Perm(len(tok))[:lanes]
			var others []*packet.Packet
			for _, i := range places {
				junk[i] ^= byte(1 + rng.IntN(255))
				others = append(others, burst(alice, junk, tcp)[i])
			}
			b := fromAnyPorts(rng, burst(alice, tok, rotated))
			packets := shuffled(rng, append(b, others...))
			check(t, fmt.Sprintf("junk in %d lanes", lanes), send(e, epoch, packets...), "granted")
		}
	}
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
	junk := make([]byte, seal.SIVLen6)
	rng2 := rand.NewChaCha8([32]byte{})
	rng2.Read(junk)
	said := send(e, epoch, burst(alice, junk, tcp)...)
	said = append(said, send(e, epoch.Add(time.Second), burst(alice, token(t, key, knockSSH(epoch)), tcp)...)...)
	check(t, "after junk in all lanes", said, "granted")
}

// Two clients behind one address are distinguished by their ports, or else as soon
// as the newest packets of all lanes are those of one.
func TestSIVClientsBehindOneAddress(t *testing.T) {
	a, b := sivKey(t, 1), sivKey(t, 2)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range thorough.Choose(50, 200) {
		at := epoch.Add(time.Duration(i) * time.Second)
		packets := func(key *seal.SIV, port uint16) []*packet.Packet {
			return fromPort(port, burst(alice, token(t, key, knockSSH(at)), rotated))
		}
		e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(a), sivAccess(b)}})
		said := send(e, at, interleaved(shuffled(rng, packets(a, 1111)), shuffled(rng, packets(b, 2222)))...)
		check(t, "ports of their own", said, "granted, granted")

		e = engine(t, knock.Config{Accesses: []knock.Access{sivAccess(a), sivAccess(b)}})
		first, second := fromAnyPorts(rng, packets(a, 0)), fromAnyPorts(rng, packets(b, 0))
		said = send(e, at, slices.Concat(interleaved(first, second),
			fromAnyPorts(rng, packets(a, 0)), fromAnyPorts(rng, packets(b, 0)))...)
		check(t, "any ports", said, "granted, granted")
	}
}

func TestSIVFlips(t *testing.T) {
	key := sivKey(t, 1)
	for _, message := range []seal.Message{knockSSH(epoch), wide(knockSSH(epoch))} {
		tok := token(t, key, message)
		e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}, MaxSources: 1 << 16})
		for bit := range len(tok) * 8 {
			tok[bit/8] ^= 1 << (bit % 8)
			at, src := epoch.Add(time.Duration(bit)*10*time.Millisecond), address(uint32(bit))
			packets := burst(src, tok, rotated)
			for _, v := range send(e, at, slices.Concat(packets, packets)...) {
				if v.Reason != knock.NoKey {
					t.Errorf("bit %d of %d: %s", bit, len(tok)*8, say(v))
				}
			}
			tok[bit/8] ^= 1 << (bit % 8)
		}
		check(t, "unchanged", send(e, epoch.Add(11*time.Second), burst(alice, tok, rotated)...), "granted")
	}
}

func TestSIVWindow(t *testing.T) {
	keys := map[string][]knock.Access{"one key": {sivAccess(sivKey(t, 1))}, "many keys": nil}
	for i := range thorough.Choose(500, 2000) {
		keys["many keys"] = append(keys["many keys"], sivAccess(sivKey(t, uint32(i))))
	}
	for name, accesses := range keys {
		for _, c := range []struct {
			clock time.Duration
			want  string
		}{
			{-time.Minute, "granted"},
			{-61 * time.Second, "38: too old"},
			{time.Minute, "granted"},
			{61 * time.Second, "38: too new"},
			{-10 * time.Minute, "38: too old"},
			{10 * time.Minute, "38: too new"},
			{-time.Hour, "38: too old"},
			{time.Hour, "38: too new"},
		} {
			for _, fraction := range []time.Duration{0, time.Nanosecond, 999 * time.Millisecond} {
				for _, start := range []time.Duration{0, 15 * time.Second, 29 * time.Second} {
					second := epoch.Add(start)
					at := second.Add(fraction)
					e := engine(t, knock.Config{Accesses: accesses})
					packets := burst(alice, token(t, sivKey(t, 1), knockSSH(second.Add(c.clock))), udp)
					said := sendAt(e, at, packets)
					if c.want != "granted" {
						check(t, "first burst", said, "")
						said = sendAt(e, at, packets)
					}
					what := fmt.Sprintf("%s, clock %v, %v past", name, c.clock, fraction)
					check(t, what, said, c.want)
					if len(said) == 1 && said[0].Request != nil && said[0].Request.Clock != c.clock {
						t.Errorf("%s: clock difference %v", what, said[0].Request.Clock)
					}
				}
			}
		}
	}
}

// sendAt feeds packets that all come at the same time.
func sendAt(e *knock.Engine, at time.Time, packets []*packet.Packet) (said []knock.Verdict) {
	for _, p := range packets {
		said = append(said, e.Handle(at, p)...)
	}
	return said
}

func TestSIVTerms(t *testing.T) {
	key := sivKey(t, 1)
	message := func(change func(*seal.Message)) seal.Message {
		m := knockSSH(epoch)
		change(&m)
		return m
	}
	allowing := func(addr netip.Addr) seal.Message { return message(func(m *seal.Message) { m.Address = addr }) }
	other := sivWith(key, func(o *knock.Terms) { o.AllowOther = true })
	with := func(change func(*knock.Access)) knock.Access {
		a := sivAccess(key)
		change(&a)
		return a
	}
	for _, c := range []struct {
		name    string
		access  knock.Access
		message seal.Message
		want    knock.Reason
		allow   netip.Addr
	}{
		{"user", sivWith(key, func(o *knock.Terms) { o.Users = []string{"mbr"} }), knockSSH(epoch), knock.None, alice},
		{"wrong user", sivWith(key, func(o *knock.Terms) { o.Users = []string{"root"} }), knockSSH(epoch), knock.WrongUser, alice},
		{"no users", sivWith(key, func(o *knock.Terms) { o.Users = []string{} }), knockSSH(epoch), knock.WrongUser, alice},
		{"port not open", sivAccess(key), message(func(m *seal.Message) { m.Port = 23 }), knock.NotOpen, alice},
		{"protocol not open", sivAccess(key), message(func(m *seal.Message) { m.Protocol = 17 }), knock.NotOpen, alice},
		{"icmp", sivWith(key, func(o *knock.Terms) { o.Open = opens(port.Echo).Open }),
			message(func(m *seal.Message) { m.Protocol, m.Port = 1, 0 }), knock.None, alice},
		{"other address", sivAccess(key), allowing(carol), knock.OtherAddress, carol},
		{"other address allowed", other, allowing(carol), knock.None, carol},
		{"other family", sivAccess(key), allowing(bob), knock.OtherAddress, bob},
		{"other family allowed", other, allowing(bob), knock.None, bob},
		{"own address", sivAccess(key), allowing(alice), knock.None, alice},
		{"loopback", other, allowing(netip.MustParseAddr("127.0.0.1")), knock.OtherAddress, netip.MustParseAddr("127.0.0.1")},
		{"multicast", other, allowing(netip.MustParseAddr("ff02::1")), knock.OtherAddress, netip.MustParseAddr("ff02::1")},
		{"not expired", with(func(a *knock.Access) { a.Expires = epoch.Add(time.Second) }), knockSSH(epoch), knock.None, alice},
		{"expired", with(func(a *knock.Access) { a.Expires = epoch.Add(-time.Second) }), knockSSH(epoch), knock.Expired, alice},
		{"source", with(func(a *knock.Access) { a.Source = func(s netip.Addr) bool { return s == alice } }),
			knockSSH(epoch), knock.None, alice},
		{"wrong source", with(func(a *knock.Access) { a.Source = func(s netip.Addr) bool { return s == bob } }),
			knockSSH(epoch), knock.WrongSource, alice},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engine(t, knock.Config{Accesses: []knock.Access{c.access}})
			b := burst(alice, token(t, key, c.message), rotated)
			said := send(e, epoch, slices.Concat(b, b)...)
			if len(said) != 1 || said[0].Reason != c.want || said[0].Request == nil || said[0].Request.Allow != c.allow {
				t.Errorf("%q for %+v, want %q for %v", words(said), said, c.want, c.allow)
			}
		})
	}
}

// requiring is an engine's Config with one access that requires Linux.
func requiring(a knock.Access) knock.Config {
	a.RequireOS = regexp.MustCompile("(?i)linux")
	return knock.Config{Accesses: []knock.Access{a}, Fingerprints: p0f.Builtin()}
}

func TestSIVSystems(t *testing.T) {
	key := sivKey(t, 1)
	tok := token(t, key, knockSSH(epoch))
	// syns is a burst of SYNs, of which one is of another system.
	syns := func(over carriers, wrong int) []*packet.Packet {
		packets := burst(alice, tok, over)
		for i, p := range packets {
			switch {
			case i == wrong:
				packets[i] = synOf(alice, p.DstPort, 128, windowsOptions)
			case over(i) == packet.TCP:
				packets[i] = synOf(alice, p.DstPort, 64, linuxOptions)
			}
		}
		return packets
	}
	for _, c := range []struct {
		name    string
		packets []*packet.Packet
		want    string
	}{
		{"all SYNs", syns(tcp, -1), "granted"},
		{"half SYNs", syns(rotated, -1), "granted"},
		{"a wrong first", syns(tcp, 0), "38: operating system does not match"},
		{"a wrong one among datagrams", syns(rotated, 17), "38: operating system does not match"},
		{"a wrong last", syns(rotated, 37), "38: operating system does not match"},
		{"no fingerprint", burst(alice, tok, tcp), "38: operating system does not match"},
		{"no SYN", burst(alice, tok, udp), "38: operating system does not match"},
	} {
		e := engine(t, requiring(sivAccess(key)))
		check(t, c.name, send(e, epoch, slices.Concat(c.packets, c.packets)...), c.want)
	}
}

func TestSIVAccessesWithOneKey(t *testing.T) {
	key := sivKey(t, 1)
	http := sivWith(key, func(o *knock.Terms) { o.Open = opens(port.Single(packet.TCP, 80)).Open })
	for _, c := range []struct {
		accesses []knock.Access
		want     int
		words    string
	}{
		{[]knock.Access{http, sivAccess(key)}, 1, "granted"},
		{[]knock.Access{sivAccess(key), http}, 0, "granted"},
		{[]knock.Access{sivAccess(key), sivAccess(key)}, 0, "granted"},
		{[]knock.Access{http, http}, 0, "38: asks for a port that the access does not open"},
	} {
		e := engine(t, knock.Config{Accesses: c.accesses})
		said := send(e, epoch, burst(alice, token(t, key, knockSSH(epoch)), udp)...)
		check(t, "one key", said, c.words)
		if len(said) == 1 && said[0].Access != c.want {
			t.Errorf("access %d, want %d", said[0].Access, c.want)
		}
	}
}

func TestSIVWrongKey(t *testing.T) {
	right, wrong := sivKey(t, 1), sivKey(t, 2)
	config := knock.Config{Accesses: []knock.Access{sivAccess(right)}}
	b := burst(alice, token(t, wrong, knockSSH(epoch)), rotated)

	e := engine(t, config)
	check(t, "first burst", send(e, epoch, b...), "")
	check(t, "second burst", send(e, epoch.Add(time.Second), b...), "38: no key matches")
	check(t, "third burst", send(e, epoch.Add(2*time.Second), b...), "")
	check(t, "end", e.Flush(epoch.Add(time.Minute)), "")

	e = engine(t, config)
	send(e, epoch, b...)
	check(t, "once, and no more", e.Handle(epoch.Add(11*time.Second), touch(carol, ssh)), "38: no key matches")

	e = engine(t, config)
	check(t, "30 of 38", send(e, epoch, b[:30]...), "")
	check(t, "30 of 38, later", e.Handle(epoch.Add(11*time.Second), touch(carol, ssh)), "30: sequence not completed")

	e = engine(t, config)
	check(t, "20 of 38", send(e, epoch, b[:20]...), "")
	check(t, "20 of 38, later", e.Handle(epoch.Add(11*time.Second), touch(carol, ssh)), "")

	e = engine(t, config)
	good := burst(alice, token(t, right, knockSSH(epoch)), rotated)
	said := send(e, epoch, good[:20]...)
	said = append(said, send(e, epoch.Add(11*time.Second), good[20:]...)...)
	check(t, "too slow", said, "")
}

func TestSIVWithin(t *testing.T) {
	hasty, patient := sivAccess(sivKey(t, 1)), sivAccess(sivKey(t, 2))
	s := patient.Knock.(knock.SIV)
	s.Within *= 2
	patient.Knock = s
	for _, c := range []struct {
		accesses []knock.Access
		key      uint32
		lasts    time.Duration
		want     string
	}{
		{[]knock.Access{hasty}, 1, 10 * time.Second, "granted"},
		{[]knock.Access{hasty}, 1, 10*time.Second + 37, ""},
		{[]knock.Access{hasty, patient}, 1, 10 * time.Second, "granted"},
		{[]knock.Access{hasty, patient}, 1, 10*time.Second + 37, ""},
		{[]knock.Access{hasty, patient}, 2, 20 * time.Second, "granted"},
		{[]knock.Access{hasty, patient}, 2, 20*time.Second + 37, ""},
	} {
		e := engine(t, knock.Config{Accesses: c.accesses})
		b := burst(alice, token(t, sivKey(t, c.key), knockSSH(epoch)), rotated)
		var said []knock.Verdict
		for i, p := range b {
			said = append(said, e.Handle(epoch.Add(c.lasts*time.Duration(i)/37), p)...)
		}
		check(t, fmt.Sprintf("key %d in %v", c.key, c.lasts), said, c.want)
	}
}

// A token that is too new does not become good while it lies about.
func TestSIVNeverGrantsWhenItExpires(t *testing.T) {
	key := sivKey(t, 1)
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
	b := burst(alice, token(t, key, knockSSH(epoch.Add(65*time.Second))), rotated)
	check(t, "burst", send(e, epoch, b...), "")
	check(t, "later", e.Handle(epoch.Add(11*time.Second), touch(carol, ssh)), "38: too new")
}

func TestSIVScans(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var ports []*packet.Packet
	for n := range 65535 {
		ports = append(ports, touch(alice, port.Single(packet.TCP, uint16(n+1))))
	}
	backwards := slices.Clone(ports)
	slices.Reverse(backwards)
	for name, scan := range map[string][]*packet.Packet{
		"ascending": ports, "descending": backwards, "random": shuffled(rng, ports),
	} {
		for _, within := range []time.Duration{time.Second, time.Minute} {
			e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(sivKey(t, 1))}})
			var said []knock.Verdict
			for i, p := range scan {
				said = append(said, e.Handle(epoch.Add(within*time.Duration(i)/65535), p)...)
			}
			said = append(said, e.Flush(epoch.Add(time.Hour))...)
			check(t, fmt.Sprintf("%s in %v", name, within), said, "")
		}
	}
}

func TestSIVAdopt(t *testing.T) {
	key := sivKey(t, 1)
	b := burst(alice, token(t, key, knockSSH(epoch)), rotated)
	old := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
	check(t, "first half", send(old, epoch, b[:20]...), "")
	e := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(sivKey(t, 2)), sivAccess(key)}})
	e.Adopt(old)
	said := send(e, epoch.Add(time.Second), b[20:]...)
	check(t, "second half", said, "granted")
	if len(said) == 1 && said[0].Access != 1 {
		t.Errorf("access %d, want 1", said[0].Access)
	}
	again := engine(t, knock.Config{Accesses: []knock.Access{sivAccess(key)}})
	again.Adopt(e)
	check(t, "repeated across", send(again, epoch.Add(2*time.Second), b...), "")
}

func TestSIVWindowTooWide(t *testing.T) {
	a := sivWith(sivKey(t, 1), func(o *knock.Terms) { o.Window = knock.MaxSealedWindow + 1 })
	if _, err := knock.New(knock.Config{Accesses: []knock.Access{a}, MaxSources: 1}); err == nil {
		t.Error("no error")
	}
}
