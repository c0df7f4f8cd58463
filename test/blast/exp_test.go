package blast

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }

func mac(t testing.TB, n *netns.NS) (hw net.HardwareAddr) {
	netnstest.Do(t, n, func() error {
		l, err := net.InterfaceByName("eth0")
		if err == nil {
			hw = l.HardwareAddr
		}
		return err
	})
	return hw
}

func TestExp(t *testing.T) {
	files := strings.Fields(os.Getenv("EXP"))
	port := 4444
	server, client := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, server, client, "eth0", []string{"10.3.2.1/24"}, []string{"10.3.2.2/24"})
	server.Sysctl("net/ipv4/conf/all/rp_filter", "0")
	server.Sysctl("net/ipv4/conf/eth0/rp_filter", "0")
	netnstest.Do(t, server, func() error { return nil })
	server.Route(netip.MustParseAddr("10.3.2.2"))
	time.Sleep(1500 * time.Millisecond)
	var s *Sender
	netnstest.Do(t, client, func() (err error) { s, err = Open("eth0"); return })
	sm, cm := mac(t, server), mac(t, client)
	var frames [][]byte
	for range 20000 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0x0b000000+rand.Uint32N(1<<24))
		f, err := Frame(cm, sm, netip.AddrFrom4(a), netip.MustParseAddr("10.3.2.1"), &layers.TCP{SrcPort: layers.TCPPort(1024 + rand.IntN(60000)), DstPort: layers.TCPPort(port), SYN: true, Window: 64240}, nil)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	nft := func(args ...string) {
		cmd := exec.Command("nft", args...)
		cmd.Stderr = os.Stderr
		if err := server.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	nft("-f", "/tmp/exp/perf/base.nft")
	results := map[string][]time.Duration{}
	ratios := map[string][]float64{}
	run := func() time.Duration {
		var best []time.Duration
		for range 3 {
			d, err := s.Send(frames)
			if err != nil {
				t.Fatal(err)
			}
			best = append(best, d)
		}
		return slices.Min(best)
	}
	for range 15 {
		for _, f := range files {
			base := run()
			nft("-f", f)
			with := run()
			nft("delete", "table", "inet", "nftknock")
			results["none"] = append(results["none"], base)
			results[f] = append(results[f], with)
			ratios[f] = append(ratios[f], float64(with)/float64(base))
		}
	}
	for _, f := range append([]string{"none"}, files...) {
		slices.Sort(results[f])
		slices.Sort(ratios[f])
		r := 1.0
		if len(ratios[f]) > 0 {
			r = ratios[f][len(ratios[f])/2]
		}
		fmt.Printf("%-30s median %v  ratio %.3f\n", f, results[f][len(results[f])/2], r)
	}
}
