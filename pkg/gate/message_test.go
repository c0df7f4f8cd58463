package gate

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"nftknock/pkg/nflog"
	"nftknock/pkg/port"
	"nftknock/test/netns/netnstest"
)

// messageLab is a road with a listener to what the table logs.
type messageLab struct {
	*road
	log *nflog.Reader
	end int // number of the last end marker
}

func newMessageLab(t *testing.T, r *Ruleset) *messageLab {
	l := &messageLab{road: newRoad(t, Config{})}
	apply(t, l.gate, r)
	netnstest.Do(t, l.server, func() (err error) {
		l.log, err = nflog.Open(nflog.Config{Groups: []uint16{r.Group}, CopyRange: 2000})
		return err
	})
	t.Cleanup(func() { l.log.Close() })
	return l
}

// endPort is a knock port of all rulesets here: what comes after its packet was not logged.
const endPort = 7

// logged sends a packet, and tells how often it is logged.
func (l *messageLab) logged(frame []byte, payload string) (times int) {
	l.t.Helper()
	l.end++
	mark := fmt.Sprintf("end marker %d", l.end)
	end := l.frame(addr("11.9.9.9"), addr(server4), &layers.UDP{SrcPort: layers.UDPPort(1024 + l.end), DstPort: endPort}, []byte(mark))
	if _, err := l.sender.Send([][]byte{frame, end}); err != nil {
		l.t.Fatal(err)
	}
	watchdog := time.AfterFunc(20*time.Second, func() { l.log.Close() })
	defer watchdog.Stop()
	for {
		var rec nflog.Record
		if err := l.log.Read(&rec); errors.Is(err, os.ErrClosed) {
			l.t.Fatal("the end marker was not logged within 20 s")
		} else if err != nil {
			l.t.Fatal(err)
		}
		switch {
		case bytes.HasSuffix(rec.Payload, []byte(mark)):
			return times
		case payload != "" && bytes.Contains(rec.Payload, []byte(payload)):
			times++
		}
	}
}

// What can be a message is logged once, whatever its port is besides, and nothing else.
func TestMessagesAreLoggedOnce(t *testing.T) {
	t.Parallel()
	any := append(services("tcp/1-65535", "udp/1-65535"), port.Echo)
	base := Ruleset{Protected: services("tcp/22", "udp/5300"), KnockPorts: services("udp/7", "tcp/50053", "udp/5200-5400"), Group: 5}
	everywhere, some, none := base, base, base
	everywhere.Messages = any
	some.Messages = services("udp/10000-20000", "tcp/443")
	pings := everywhere
	pings.ICMP = true
	message := func(first string, n int) string { return first + strings.Repeat("A", n-1) }
	good := message("8", 225)
	syn := func(port uint16) *layers.TCP {
		return &layers.TCP{SrcPort: 4711, DstPort: layers.TCPPort(port), SYN: true, Window: 32767}
	}
	withOptions := syn(443)
	withOptions.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
	ack := syn(443)
	ack.ACK = true
	udp := func(port uint16) *layers.UDP { return &layers.UDP{SrcPort: 4711, DstPort: layers.UDPPort(port)} }
	icmp := func(kind uint8) *layers.ICMPv4 { return &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, 0)} }
	for _, set := range []struct {
		name    string
		ruleset *Ruleset
		cases   []messageCase
	}{
		{"everywhere", &everywhere, []messageCase{
			{"datagram", udp(53), good, 1},
			{"shortest", udp(53), message("9", 140), 1},
			{"longest", udp(53), message("+", 1472), 1},
			{"too short", udp(53), message("/", 139), 0},
			{"other beginning", udp(53), message("A", 225), 0},
			{"syslog", udp(514), "<14>" + good, 0},
			{"no ASCII", udp(53), "8\xff" + good, 0},
			{"to a knock port", udp(7), good, 1},
			{"to a protected port", udp(5300), good, 1}, // a knock port, too
			{"to a port of tcp", udp(22), good, 1},
			{"SYN", syn(443), good, 1},
			{"SYN to a knock port", syn(50053), good, 1},
			{"SYN to a port of udp", syn(5300), good, 1},
			{"SYN to a protected port", syn(22), good, 1},
			{"SYN without payload", syn(443), "", 0},
			{"SYN with options", withOptions, good, 0},
			{"answer to a SYN", ack, good, 0},
			{"echo reply", icmp(0), good, 1},
			{"echo request", icmp(8), good, 1},
			{"timestamp", icmp(13), good, 1},
			{"short echo reply", icmp(0), message("8", 100), 0},
			{"ping", icmp(8), "\x00\x01\x02" + good, 0},
		}},
		{"some ports", &some, []messageCase{
			{"first", udp(10000), good, 1},
			{"last", udp(20000), good, 1},
			{"below", udp(9999), good, 0},
			{"to a protected port", udp(5300), good, 1}, // as a knock port
			{"SYN", syn(443), good, 1},
			{"SYN elsewhere", syn(444), good, 0},
			{"SYN to a protected port", syn(22), good, 0},
			{"echo reply", icmp(0), good, 0},
		}},
		{"beside pings", &pings, []messageCase{
			{"echo reply", icmp(0), good, 1},
			{"echo request", icmp(8), good, 1},
			{"ping", icmp(8), "\x00\x01\x02" + good, 1},
		}},
		{"none", &none, []messageCase{
			{"datagram", udp(53), good, 0},
			{"SYN", syn(443), good, 0},
			{"echo reply", icmp(0), good, 0},
		}},
	} {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			l := newMessageLab(t, set.ruleset)
			for i, c := range set.cases {
				source := netip.AddrFrom4([4]byte{11, 1, 0, byte(i)}) // with no connection yet
				got := l.logged(l.frame(source, addr(server4), c.transport, []byte(c.payload)), c.payload)
				if got != c.want {
					t.Errorf("%s: logged %d times, want %d", c.name, got, c.want)
				}
			}
		})
	}
}

type messageCase struct {
	name      string
	transport gopacket.SerializableLayer
	payload   string
	want      int
}

// Datagrams of a flow that this host answers are no messages, whatever they contain.
func TestMessagesOfAnsweredFlowsAreNotLogged(t *testing.T) {
	t.Parallel()
	l := newMessageLab(t, &Ruleset{Protected: services("tcp/22"), KnockPorts: services("udp/7"), Messages: services("udp/1-65535"), Group: 5})
	conn := l.listenUDP(l.server, ":5000")
	payload := "8" + strings.Repeat("A", 224)
	source := addr("11.2.0.1")
	frame := l.frame(source, addr(server4), &layers.UDP{SrcPort: 4711, DstPort: 5000}, []byte(payload))
	if n := l.logged(frame, payload); n != 1 {
		t.Errorf("the first datagram of a flow was logged %d times, want 1", n)
	}
	if _, err := conn.WriteToUDPAddrPort([]byte("an answer"), netip.AddrPortFrom(source, 4711)); err != nil {
		t.Fatal(err)
	}
	if n := l.logged(frame, payload); n != 0 {
		t.Errorf("a datagram of an answered flow was logged %d times", n)
	}
}

// BenchmarkMessages measures what the search for messages on all ports costs packets that
// are none, beside the same table without it, by turns in one run: median ratios of pairs.
func BenchmarkMessages(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, bb := range []struct {
		name   string
		frames func(*road) [][]byte
	}{
		{"SYN to a port of nobody", func(r *road) [][]byte { return r.syns(4444) }},
		{"segment of a connection to another port", func(r *road) [][]byte { return r.standing(80) }},
		{"datagram of 200 random bytes to a port of nobody", func(r *road) [][]byte {
			return r.datagrams(func() []byte {
				p := make([]byte, 200)
				for i := range p {
					p[i] = byte(random.Uint32())
				}
				return p
			})
		}},
		{"datagram of base64, logged", func(r *road) [][]byte {
			return r.datagrams(func() []byte { return []byte("8" + strings.Repeat("A", 224)) })
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := newRoad(b, Config{Owner: OwnerOff})
			r.serve(":80")
			r.nft(usualFirewall)
			without, with := typical(), typical()
			with.Messages = append(services("tcp/1-65535", "udp/1-65535"), port.Echo)
			apply(b, r.gate, without)
			frames := bb.frames(r)
			var ratio, base []float64
			for b.Loop() {
				apply(b, r.gate, without)
				before := r.each(frames)
				apply(b, r.gate, with)
				after := r.each(frames)
				ratio, base = append(ratio, float64(after)/float64(before)), append(base, float64(before))
			}
			b.ReportMetric(median(ratio), "x/messages")
			b.ReportMetric(median(base), "ns/without")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// datagrams are from random sources to a port of nobody.
func (r *road) datagrams(payload func() []byte) [][]byte {
	var frames [][]byte
	for range burst {
		source := netip.AddrFrom4([4]byte{11, byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())})
		frames = append(frames, r.frame(source, addr(server4), &layers.UDP{
			SrcPort: layers.UDPPort(1024 + rand.IntN(60000)), DstPort: 4444,
		}, payload()))
	}
	return frames
}
