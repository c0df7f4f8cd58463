package netns_test

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }

func TestTwoHostsTalkOverTheirCable(t *testing.T) {
	server, client := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, server, client, "eth0",
		[]string{"10.3.2.1/24", "fd00::1/64"}, []string{"10.3.2.2/24", "fd00::2/64"})
	for _, addr := range []string{"10.3.2.1:80", "[fd00::1]:80"} {
		var l net.Listener
		netnstest.Do(t, server, func() (err error) {
			l, err = net.Listen("tcp", addr)
			return err
		})
		defer l.Close()
		netnstest.Do(t, client, func() error {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
}

func TestProcessesStartInside(t *testing.T) {
	host := netnstest.New(t)
	if err := host.Sysctl("net/ipv4/ip_default_ttl", "99"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat", "/proc/sys/net/ipv4/ip_default_ttl")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(got)) != "99" {
		t.Errorf("default TTL inside: %q, want 99", got)
	}
}
