package knock_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
)

const spaPort = 62201

func newSPAKey(t testing.TB, c spa.Config) *spa.Key {
	t.Helper()
	key, err := spa.NewKey(c)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// spaKey is a key with an HMAC.
func spaKey(t testing.TB, n uint32) *spa.Key {
	return newSPAKey(t, spa.Config{Key: number(n), HMACKey: number(n + 1<<31), HMAC: spa.SHA256})
}

func spaAccess(key *spa.Key) knock.Access {
	return knock.Access{Name: "spa", Knock: knock.SPA{Key: key, Port: spaPort, Terms: opens(ssh, port.Single(packet.UDP, 53))}}
}

// askSSH asks for tcp/22 for whoever sends it.
func askSSH(at time.Time) spa.Message {
	return spa.Message{User: "mbr", Time: at, Type: spa.Access, Digest: spa.SHA256, Services: []port.Range{port.Single(packet.TCP, 22)}}
}

var salt = rand.NewChaCha8([32]byte{})

func authorization(t testing.TB, key *spa.Key, m spa.Message) []byte {
	t.Helper()
	b, err := key.Seal(m, salt)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// datagram is a payload on its way.
func datagram(src netip.Addr, payload []byte) *packet.Packet {
	p := touch(src, port.Single(packet.UDP, spaPort))
	p.Payload = payload
	return p
}

func TestSPATerms(t *testing.T) {
	key, other := spaKey(t, 1), spaKey(t, 2)
	ask := func(change func(*spa.Message)) spa.Message {
		m := askSSH(epoch)
		change(&m)
		return m
	}
	terms := func(change func(*knock.Terms)) knock.Access {
		a := spaAccess(key)
		s := a.Knock.(knock.SPA)
		change(&s.Terms)
		a.Knock = s
		return a
	}
	const noForward = "1: asks for a forwarded port that the access does not allow"
	forwarding := terms(func(o *knock.Terms) {
		for _, s := range []string{"10.0.0.5:22", "[2001:db8::/64]:22", "local:22"} {
			targets, err := port.ParseTargets(s)
			if err != nil {
				t.Fatal(err)
			}
			o.Targets = append(o.Targets, targets)
		}
		o.Dial = []port.Range{port.Single(packet.TCP, 22), {Protocol: packet.TCP, First: 10000, Last: 65535}}
	})
	nat := func(kind spa.Type, to string) spa.Message {
		return ask(func(m *spa.Message) { m.Type, m.NAT = kind, to })
	}
	dialling := func(m spa.Message, n uint16) spa.Message {
		m.Services = []port.Range{port.Single(packet.TCP, n)}
		return m
	}
	clock := func(d time.Duration) spa.Message { return askSSH(epoch.Add(d)) }
	allowing := func(addr netip.Addr) spa.Message { return ask(func(m *spa.Message) { m.Address = addr }) }
	for _, c := range []struct {
		name    string
		access  knock.Access
		key     *spa.Key
		message spa.Message
		want    string
	}{
		{"access", spaAccess(key), key, askSSH(epoch), "granted"},
		{"access with timeout", spaAccess(key), key,
			ask(func(m *spa.Message) { m.Type, m.Timeout = spa.AccessTimeout, time.Minute }), "granted"},
		{"several ports", spaAccess(key), key,
			ask(func(m *spa.Message) { m.Services = append(m.Services, port.Single(packet.UDP, 53)) }), "granted"},
		{"several ports, one not open", spaAccess(key), key,
			ask(func(m *spa.Message) { m.Services = append(m.Services, port.Single(packet.TCP, 53)) }),
			"1: asks for a port that the access does not open"},
		{"command", spaAccess(key), key,
			ask(func(m *spa.Message) { m.Type, m.Services, m.Command = spa.Command, nil, "/bin/true" }),
			"1: asks for a command, and commands are never run"},
		{"NAT", spaAccess(key), key,
			ask(func(m *spa.Message) { m.Type, m.NAT = spa.NATAccess, "10.0.0.5,22" }),
			"1: asks for a forwarded port that the access does not allow"},
		{"NAT to a target", forwarding, key, nat(spa.NATAccess, "10.0.0.5,22"), "granted"},
		{"NAT with timeout", forwarding, key, ask(func(m *spa.Message) {
			m.Type, m.NAT, m.Timeout = spa.NATAccessTimeout, "10.0.0.5,22", time.Minute
		}), "granted"},
		{"NAT by a random port", forwarding, key, dialling(nat(spa.NATAccess, "10.0.0.5,22"), 40022), "granted"},
		{"NAT to another target", forwarding, key, nat(spa.NATAccess, "10.0.0.6,22"), noForward},
		{"NAT to another port", forwarding, key, nat(spa.NATAccess, "10.0.0.5,23"), noForward},
		{"NAT to loopback", forwarding, key, nat(spa.NATAccess, "127.0.0.1,22"), noForward},
		{"NAT to a name", forwarding, key, nat(spa.NATAccess, "host.example,22"), noForward},
		{"NAT to the other family", forwarding, key, nat(spa.NATAccess, "2001:db8::5,22"), noForward},
		{"NAT by another port", forwarding, key, dialling(nat(spa.NATAccess, "10.0.0.5,22"), 1234), noForward},
		{"NAT of two ports", forwarding, key, ask(func(m *spa.Message) {
			m.Type, m.NAT, m.Services = spa.NATAccess, "10.0.0.5,22", append(m.Services, port.Single(packet.TCP, 40022))
		}), noForward},
		{"NAT for another address", forwarding, key, ask(func(m *spa.Message) {
			m.Type, m.NAT, m.Address = spa.NATAccess, "10.0.0.5,22", carol
		}), "1: asks for another address than its own"},
		{"local NAT", forwarding, key, nat(spa.LocalNAT, "127.0.0.1,22"), "granted"},
		{"local NAT by name", forwarding, key, nat(spa.LocalNAT, "gateway.example,22"), "granted"},
		{"local NAT with timeout", forwarding, key, ask(func(m *spa.Message) {
			m.Type, m.NAT, m.Timeout = spa.LocalNATTimeout, "127.0.0.1,22", time.Minute
		}), "granted"},
		{"local NAT to another port", forwarding, key, nat(spa.LocalNAT, "127.0.0.1,80"), noForward},
		{"access where ports may be forwarded", forwarding, key, askSSH(epoch), "granted"},
		{"a window old", spaAccess(key), key, clock(-time.Minute), "granted"},
		{"too old", spaAccess(key), key, clock(-61 * time.Second), "1: too old"},
		{"a window new", spaAccess(key), key, clock(time.Minute), "granted"},
		{"too new", spaAccess(key), key, clock(61 * time.Second), "1: too new"},
		{"wrong key", spaAccess(key), other, askSSH(epoch), "1: no key matches"},
		{"wrong user", terms(func(o *knock.Terms) { o.Users = []string{"root"} }), key, askSSH(epoch), "1: the user may not knock here"},
		{"other address", spaAccess(key), key, allowing(carol), "1: asks for another address than its own"},
		{"other address allowed", terms(func(o *knock.Terms) { o.AllowOther = true }), key, allowing(bob), "granted"},
		{"own address", spaAccess(key), key, allowing(alice), "granted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engine(t, knock.Config{Accesses: []knock.Access{c.access}})
			at := epoch.Add(999 * time.Millisecond) // messages count seconds
			said := send(e, at, datagram(alice, authorization(t, c.key, c.message)))
			check(t, "said", said, c.want)
			if len(said) != 1 || said[0].Reason == knock.NoKey {
				return
			}
			r := said[0].Request
			if r.Timeout != c.message.Timeout || r.User != "mbr" || len(r.Open) != len(c.message.Services) || r.Token == [32]byte{} ||
				r.Clock != c.message.Time.Sub(epoch) || !r.Forget.Equal(c.message.Time.Add(knock.MaxWindow+time.Second)) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestSPARequiresSystem(t *testing.T) {
	// A datagram tells no system.
	e := engine(t, requiring(spaAccess(spaKey(t, 1))))
	check(t, "said", send(e, epoch, datagram(alice, authorization(t, spaKey(t, 1), askSSH(epoch)))), "1: operating system does not match")
}

func TestSPAJunkSaysNothing(t *testing.T) {
	key := spaKey(t, 1)
	e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(key)}})
	good := authorization(t, key, askSSH(epoch))
	cut := slices.Clone(good[:len(good)-1])
	prefixed := append([]byte("U2FsdGVkX1"), good...)
	padded := append(slices.Clone(good), '=')
	elsewhere := datagram(alice, good)
	elsewhere.DstPort++
	overTCP := datagram(alice, good)
	overTCP.Protocol, overTCP.TCP.Flags = packet.TCP, packet.SYN
	for name, p := range map[string]*packet.Packet{
		"empty": datagram(alice, nil), "cut": datagram(alice, cut), "with the prefix": datagram(alice, prefixed),
		"padded": datagram(alice, padded), "zeros": datagram(alice, make([]byte, 200)),
		"to another port": elsewhere, "over TCP": overTCP,
	} {
		check(t, name, send(e, epoch, p), "")
	}
	check(t, "good", send(e, epoch, datagram(alice, good)), "granted")
}

func TestSPAFlips(t *testing.T) {
	key := spaKey(t, 1)
	e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(key)}})
	good := authorization(t, key, askSSH(epoch))
	for bit := range len(good) * 8 {
		good[bit/8] ^= 1 << (bit % 8)
		for _, v := range send(e, epoch.Add(time.Duration(bit)*time.Millisecond), datagram(alice, good)) {
			if v.Reason != knock.NoKey {
				t.Errorf("bit %d: %s", bit, say(v))
			}
		}
		good[bit/8] ^= 1 << (bit % 8)
	}
}

func TestSPAWithoutHMAC(t *testing.T) {
	plain := spa.Config{Key: []byte("fwknoptest")}
	key := newSPAKey(t, plain)
	good := authorization(t, key, askSSH(epoch))
	e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(key)}})
	check(t, "good", send(e, epoch, datagram(alice, good)), "granted")
	// An HMAC is as long as two blocks and so passes for them.
	check(t, "with an HMAC", send(e, epoch, datagram(alice, signed(good, []byte("secret")))), "1: malformed message")

	// What only a holder of the key can have made, but for the digest.
	bad := slices.Clone(good)
	broken := len(bad) - 30 // in the last blocks, where the digest is
	if bad[broken] == 'A' {
		bad[broken] = 'B'
	} else {
		bad[broken] = 'A'
	}
	check(t, "altered", send(e, epoch, datagram(alice, bad)), "1: malformed message")

	plain.HMACKey, plain.HMAC = []byte("secret"), spa.SHA256
	e = engine(t, knock.Config{Accesses: []knock.Access{spaAccess(newSPAKey(t, plain))}})
	said := send(e, epoch, datagram(alice, signed(bad, plain.HMACKey)))
	check(t, "authentic, but malformed", said, "1: malformed message")
	if len(said) == 1 && said[0].Request != nil {
		t.Errorf("a request of a malformed message: %+v", said[0].Request)
	}
}

// signed appends an HMAC-SHA256 to a payload.
func signed(payload, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("U2FsdGVkX1"))
	mac.Write(payload)
	return base64.RawStdEncoding.AppendEncode(slices.Clone(payload), mac.Sum(nil))
}

func TestSPAAccessesWithOneKey(t *testing.T) {
	key := spaKey(t, 1)
	a := spaAccess(key)
	s := a.Knock.(knock.SPA)
	s.Open = opens(port.Single(packet.TCP, 80)).Open
	a.Knock = s
	e := engine(t, knock.Config{Accesses: []knock.Access{a, spaAccess(spaKey(t, 2)), spaAccess(key)}})
	said := send(e, epoch, datagram(alice, authorization(t, key, askSSH(epoch))))
	check(t, "said", said, "granted")
	if len(said) == 1 && said[0].Access != 2 {
		t.Errorf("access %d, want 2", said[0].Access)
	}
}

// wideSPA is an access to which a packet may come in any way.
func wideSPA(key *spa.Key) knock.Access {
	a := spaAccess(key)
	s := a.Knock.(knock.SPA)
	s.Port, s.LastPort, s.Protocols = 10000, 65535, []packet.Protocol{packet.UDP, packet.TCP, packet.ICMP}
	a.Knock = s
	return a
}

// rawSPA is a packet as the client of fwknop sends it with "-P tcpraw" and "-P icmp".
func rawSPA(src netip.Addr, payload []byte, protocol packet.Protocol) *packet.Packet {
	p := datagram(src, payload)
	p.Protocol, p.Version = protocol, 4
	if protocol == packet.TCP {
		p.TCP.Flags = packet.SYN
	} else {
		p.SrcPort, p.DstPort = 0, 0 // an echo reply: type and code are 0
	}
	return p
}

func TestSPAOnManyPorts(t *testing.T) {
	key := spaKey(t, 1)
	n := 0
	fresh := func() []byte { n++; return authorization(t, key, askSSH(epoch)) }
	at := func(port uint16, p *packet.Packet) *packet.Packet { p.DstPort = port; return p }
	timestamp, ack, six := rawSPA(alice, fresh(), packet.ICMP), rawSPA(alice, fresh(), packet.TCP), rawSPA(alice, fresh(), packet.ICMP)
	ping6 := rawSPA(alice, fresh(), packet.ICMPv6)
	ping6.Version, ping6.ICMP.Type = 6, 128
	timestamp.ICMP.Type, ack.TCP.Flags, six.Protocol, six.Version = 13, packet.SYN|packet.ACK, packet.ICMPv6, 6
	for _, c := range []struct {
		name   string
		packet *packet.Packet
		want   string
	}{
		{"first port", at(10000, datagram(alice, fresh())), "granted"},
		{"last port", at(65535, datagram(alice, fresh())), "granted"},
		{"below", at(9999, datagram(alice, fresh())), ""},
		{"SYN", at(40000, rawSPA(alice, fresh(), packet.TCP)), "granted"},
		{"SYN below", at(443, rawSPA(alice, fresh(), packet.TCP)), ""},
		{"answer to a SYN", ack, ""},
		{"echo reply", rawSPA(alice, fresh(), packet.ICMP), "granted"},
		{"timestamp", timestamp, "granted"},
		{"echo reply over IPv6", six, ""},
		{"echo request over IPv6", ping6, ""},
		{"SYN without payload", at(40000, rawSPA(alice, nil, packet.TCP)), ""},
		{"ping", rawSPA(alice, []byte("abcdefghijklmnopqrstuvwabcdefghi"), packet.ICMP), ""},
	} {
		e := engine(t, knock.Config{Accesses: []knock.Access{wideSPA(key)}})
		check(t, c.name, send(e, epoch, c.packet), c.want)
	}
}

// To a shared sequence a packet is what it is without its payload, whoever else reads that;
// and an echo reply is no echo request.
func TestSPALeavesOtherKnocksTheirPackets(t *testing.T) {
	key := spaKey(t, 1)
	e := engine(t, knock.Config{Accesses: []knock.Access{wideSPA(key), access(t, "udp/20000, icmp, udp/30000")}, Tripwires: []port.Range{port.Single(packet.UDP, 25000)}})
	if got := play(t, e, alice, "0s udp/20000, 1s icmp, 2s udp/30000"); got != "granted" {
		t.Errorf("%q, want granted", got)
	}
	p := datagram(alice, authorization(t, key, askSSH(epoch)))
	p.DstPort = 25000
	check(t, "to a tripwire", send(e, epoch, p), "granted")
	reply := rawSPA(alice, nil, packet.ICMP)
	later := epoch.Add(time.Minute)
	for i, p := range []*packet.Packet{touch(alice, port.Single(packet.UDP, 20000)), reply, touch(alice, port.Single(packet.UDP, 30000))} {
		for _, v := range send(e, later.Add(time.Duration(i)*time.Second), p) {
			if v.Granted() {
				t.Error("an echo reply counted as an echo request")
			}
		}
	}
}

// Where the ports of two accesses overlap and differ, a packet has one verdict: that of the
// access whose key it has.
func TestSPAOnPortsThatOverlap(t *testing.T) {
	narrow, wide := spaKey(t, 1), spaKey(t, 2)
	e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(narrow), wideSPA(wide)}})
	check(t, "narrow", send(e, epoch, datagram(alice, authorization(t, narrow, askSSH(epoch)))), "granted")
	check(t, "wide", send(e, epoch, datagram(alice, authorization(t, wide, askSSH(epoch)))), "granted")
	said := send(e, epoch, datagram(alice, authorization(t, spaKey(t, 3), askSSH(epoch))))
	check(t, "none", said, "1: no key matches")
	if len(said) == 1 && said[0].Access != knock.NoAccess {
		t.Errorf("access %d, want none", said[0].Access)
	}
}

// What looks like a message and is none costs no memory, however it came.
func TestVainMessagesAllocateNothing(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(spaKey(t, 1)), wideSPA(spaKey(t, 2))}})
	vain := authorization(t, spaKey(t, 3), askSSH(epoch))
	junk := []byte(strings.Repeat("A", 225))
	n := 0
	for _, protocol := range []packet.Protocol{packet.UDP, packet.TCP, packet.ICMP} {
		for _, payload := range [][]byte{vain, junk} {
			p := rawSPA(alice, payload, protocol)
			if protocol == packet.UDP {
				p = datagram(alice, payload)
			}
			if allocs := testing.AllocsPerRun(100, func() {
				n++
				e.Handle(epoch.Add(time.Duration(n)*time.Second), p)
			}); allocs != 0 {
				t.Errorf("%v, %d bytes that begin with %q: %v allocations", protocol, len(payload), payload[0], allocs)
			}
		}
	}
}

// Types that are never honoured have their own reason, however their text is written.
func TestSPAOtherTypesHaveTheirReason(t *testing.T) {
	const command = "1: asks for a command, and commands are never run"
	const nat = "1: asks for a forwarded port that the access does not allow"
	const malformed = "1: malformed message"
	const user = "1: the user name is not UTF-8, has characters that do not print, or is too long"
	field := func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) }
	for text, want := range map[string]string{
		":0:" + field("/bin/true"):                                          command,
		":0:" + field("0.0.0.0"):                                            command,
		":0:" + field("x,y,z") + ":" + field("x") + ":30":                   command,
		":2:" + field("tcp/22") + ":" + field("10.0.0.5,22"):                malformed,
		":2:" + field("0.0.0.0,tcp/22") + ":" + field("10.0.0.5,22"):        nat,
		":2:" + field("0.0.0.0,tcp/22"):                                     malformed,
		":4:" + field("0.0.0.0,tcp/22") + ":x:x:x:x":                        malformed,
		":5:" + field("0.0.0.0"):                                            malformed,
		":6:" + field("192.0.2.1,tcp/22") + ":x":                            malformed,
		":1:" + field("tcp/22"):                                             "1: malformed message",
		":7:" + field("0.0.0.0,tcp/22"):                                     "1: malformed message",
		":1:" + base64.StdEncoding.EncodeToString([]byte("0.0.0.0,tcp/22")): "granted",
	} {
		key, payload := plainSPA(t, "1234567890123456:"+field("mbr")+":"+strconv.FormatInt(epoch.Unix(), 10)+":3.0.0"+text)
		e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(key)}})
		check(t, text, send(e, epoch, datagram(alice, payload)), want)
	}
	for name, want := range map[string]string{"müller": "granted", "m\xfcller": user, "a\u202eb": user} {
		key, payload := plainSPA(t, "1234567890123456:"+field(name)+":"+strconv.FormatInt(epoch.Unix(), 10)+":3.0.0:1:"+field("0.0.0.0,tcp/22"))
		e := engine(t, knock.Config{Accesses: []knock.Access{spaAccess(key)}})
		check(t, name, send(e, epoch, datagram(alice, payload)), want)
	}
}

// plainSPA encrypts a text and its digest as OpenSSL does with a passphrase, and appends an
// HMAC; key opens it. No client of ours would write such texts.
func plainSPA(t *testing.T, text string) (key *spa.Key, payload []byte) {
	t.Helper()
	c := spa.Config{Key: []byte("fwknoptest"), HMACKey: []byte("secret"), HMAC: spa.SHA256}
	salt := []byte("saltsalt")
	digest := sha256.Sum256([]byte(text))
	text += ":" + base64.RawStdEncoding.EncodeToString(digest[:])
	pad := 16 - len(text)%16
	text += strings.Repeat(string(rune(pad)), pad)
	var derived, last []byte
	for len(derived) < 48 {
		sum := md5.Sum(slices.Concat(last, c.Key, salt))
		last = sum[:]
		derived = append(derived, last...)
	}
	block, err := aes.NewCipher(derived[:32])
	if err != nil {
		t.Fatal(err)
	}
	b := []byte(text)
	cipher.NewCBCEncrypter(block, derived[32:]).CryptBlocks(b, b)
	whole := base64.RawStdEncoding.EncodeToString(slices.Concat([]byte("Salted__"), salt, b))
	return newSPAKey(t, c), signed([]byte(whole[len("U2FsdGVkX1"):]), c.HMACKey)
}
