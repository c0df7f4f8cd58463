package gate

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/blast"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// road is a cable on which frames go to a server, and what is on it.
type road struct {
	*lab
	sender             *blast.Sender
	serverMAC, fromMAC net.HardwareAddr
}

func newRoad(t testing.TB, c Config) *road {
	r := &road{lab: newLab(t, c)}
	// Answers to sources that are nobody's go back the same way.
	for _, gateway := range []string{client4, client6} {
		if err := r.server.Route(addr(gateway)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"all", "eth0"} {
		if err := r.server.Sysctl("net/ipv4/conf/"+name+"/rp_filter", "0"); err != nil {
			t.Fatal(err)
		}
	}
	r.serverMAC, r.fromMAC = mac(t, r.server), mac(t, r.client)
	r.sender = r.open(false)
	return r
}

func (r *road) open(listens bool) (s *blast.Sender) {
	netnstest.Do(r.t, r.client, func() (err error) {
		s, err = blast.Open("eth0", listens)
		return err
	})
	r.t.Cleanup(func() { s.Close() })
	return s
}

func mac(t testing.TB, n *netns.NS) (address net.HardwareAddr) {
	netnstest.Do(t, n, func() error {
		link, err := net.InterfaceByName("eth0")
		if err == nil {
			address = link.HardwareAddr
		}
		return err
	})
	return address
}

func (r *road) frame(src, dst netip.Addr, transport gopacket.SerializableLayer, payload []byte) []byte {
	r.t.Helper()
	f, err := blast.Frame(r.fromMAC, r.serverMAC, src, dst, transport, payload)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// burst is the number of frames of one measurement.
const burst = 20000

// syns are SYNs from random sources to a port.
func (r *road) syns(port uint16) [][]byte {
	var frames [][]byte
	for range burst {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 11<<24|rand.Uint32N(1<<24))
		frames = append(frames, r.frame(netip.AddrFrom4(a), addr(server4), &layers.TCP{
			SrcPort: layers.TCPPort(1024 + rand.IntN(60000)), DstPort: layers.TCPPort(port), SYN: true, Window: 64240,
		}, nil))
	}
	return frames
}

// standing makes a TCP connection from an address that no kernel has, and gives
// segments of it which change nothing.
func (r *road) standing(port uint16) [][]byte {
	r.t.Helper()
	source, sport := addr("11.0.0.77"), layers.TCPPort(4711)
	listener := r.open(true)
	segment := layers.TCP{SrcPort: sport, DstPort: layers.TCPPort(port), Seq: 1000, SYN: true, Window: 64240}
	if _, err := r.sender.Send([][]byte{r.frame(source, addr(server4), &segment, nil)}); err != nil {
		r.t.Fatal(err)
	}
	answer, err := listener.Receive(5*time.Second, func(f []byte) bool {
		p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		return ok && tcp.SYN && tcp.ACK && tcp.DstPort == sport
	})
	if err != nil {
		r.t.Fatalf("no connection to port %d: %v", port, err)
	}
	tcp := gopacket.NewPacket(answer, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeTCP).(*layers.TCP)
	ack := r.frame(source, addr(server4), &layers.TCP{
		SrcPort: sport, DstPort: layers.TCPPort(port), Seq: 1001, Ack: tcp.Seq + 1, ACK: true, Window: 64240,
	}, nil)
	return slices.Repeat([][]byte{ack}, burst)
}

// each is the least time of several bursts.
func (r *road) each(frames [][]byte) time.Duration {
	r.t.Helper()
	var all []time.Duration
	for range 3 {
		d, err := r.sender.Send(frames)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, d)
	}
	return slices.Min(all)
}

func median[T float64 | time.Duration](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// typical is the ruleset of a policy like the sample, with the default number
// of tripwires.
func typical() *Ruleset {
	r := &Ruleset{
		Protected: services("tcp/22", "udp/5300"), ICMP: true, Group: 5,
		KnockPorts: services("tcp/50053", "udp/6020", "tcp/24034", "udp/9680"),
	}
	source := rand.New(rand.NewPCG(1, 2))
	for range 128 {
		for _, p := range protocols {
			r.KnockPorts = append(r.KnockPorts, port.Single(p, uint16(10000+source.IntN(10000))))
		}
	}
	return r
}

// BenchmarkHostPays measures what the table costs packets that are nobody's
// knock, beside a host that has a usual firewall with connection tracking and
// nothing else. The figures are the processor time of sender and server
// together, by turns in one run: ns/packet without our table, and the median
// ratios of pairs, with it and with the first version's.
func BenchmarkHostPays(b *testing.B) {
	for _, bb := range []struct {
		name   string
		frames func(*road) [][]byte
	}{
		{"SYN to a port of nobody", func(r *road) [][]byte { return r.syns(4444) }},
		{"segment of a connection to another port", func(r *road) [][]byte { return r.standing(80) }},
		{"segment of an admitted connection", func(r *road) [][]byte { return r.standing(22) }},
		{"SYN to a hidden port", func(r *road) [][]byte { return r.syns(22) }},
		{"SYN to a knock port", func(r *road) [][]byte { return r.syns(50053) }},
	} {
		b.Run(bb.name, func(b *testing.B) { benchmarkHostPays(b, bb.frames) })
	}
}

func benchmarkHostPays(b *testing.B, makeFrames func(*road) [][]byte) {
	r := newRoad(b, Config{Owner: OwnerOff})
	r.serve(":22")
	r.serve(":80")
	r.nft(usualFirewall)
	apply(b, r.gate, typical())
	grant(b, r.gate, Grant{Source: from("11.0.0.77"), Service: port.Single(packet.TCP, 22), Timeout: time.Hour})
	frames := makeFrames(r)
	first, err := os.ReadFile("testdata/first_table.nft")
	if err != nil {
		b.Fatal(err)
	}
	var none, ours, theirs []time.Duration
	var ratio, firstRatio []float64
	measure := func() {
		r.nft("delete table inet nftknock\n")
		none = append(none, r.each(frames))
		r.nft(string(first))
		theirs = append(theirs, r.each(frames))
		r.nft("delete table inet nftknock\n")
		none = append(none, r.each(frames))
		if _, err := r.gate.Repair(); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, r.each(frames))
		firstRatio = append(firstRatio, ratioOf(theirs, none[:len(none)-1]))
		ratio = append(ratio, ratioOf(ours, none))
	}
	for b.Loop() {
		measure()
	}
	b.ReportMetric(float64(median(none)), "ns/none")
	b.ReportMetric(median(ratio), "x/table")
	b.ReportMetric(float64(median(ours)-median(none)), "ns/more")
	b.ReportMetric(median(firstRatio), "x/first")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkForwardingPays measures what the maps of forwarding cost packets that are nobody's
// knock: the ratio of a table with them to one without, as in BenchmarkHostPays.
func BenchmarkForwardingPays(b *testing.B) {
	for _, bb := range []struct {
		name     string
		firewall string
		frames   func(*road) [][]byte
	}{
		{"SYN to a port of nobody", "", func(r *road) [][]byte { return r.syns(4444) }},
		{"SYN to a port of nobody, host with NAT", emptyNAT, func(r *road) [][]byte { return r.syns(4444) }},
		{"segment of a connection to another port", "", func(r *road) [][]byte { return r.standing(80) }},
		{"segment of an admitted connection", "", func(r *road) [][]byte { return r.standing(22) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := newRoad(b, Config{Owner: OwnerOff})
			r.serve(":22")
			r.serve(":80")
			r.nft(usualFirewall + bb.firewall)
			without, with := typical(), typical()
			with.Forward = true
			apply(b, r.gate, without)
			grant(b, r.gate, Grant{Source: from("11.0.0.77"), Service: port.Single(packet.TCP, 22), Timeout: time.Hour})
			frames := bb.frames(r)
			var before, after []time.Duration
			var ratio []float64
			for b.Loop() {
				apply(b, r.gate, without)
				before = append(before, r.each(frames))
				apply(b, r.gate, with)
				after = append(after, r.each(frames))
				ratio = append(ratio, ratioOf(after, before))
			}
			b.ReportMetric(float64(median(before)), "ns/without")
			b.ReportMetric(median(ratio), "x/forward")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// ratioOf is that of the last measurements of each.
func ratioOf(with, without []time.Duration) float64 {
	return float64(with[len(with)-1]) / float64(without[len(without)-1])
}

// usualFirewall drops what it was not asked to let in, with connection
// tracking, as most hosts have it.
const usualFirewall = `table inet fw {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		tcp dport { 22, 80 } accept
	}
}
`

// emptyNAT is what makes the kernel translate addresses for every connection.
const emptyNAT = `table inet nat {
	chain prerouting { type nat hook prerouting priority dstnat; }
	chain input { type nat hook input priority 100; }
}
`

// nft has nft carry out some text in the server.
func (r *road) nft(text string) {
	r.t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	var out strings.Builder
	cmd.Stderr = &out
	if err := r.server.Start(cmd); err != nil {
		r.t.Fatalf("nft, of Debian's package nftables: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		r.t.Fatalf("nft: %v\n%s", err, out.String())
	}
}
