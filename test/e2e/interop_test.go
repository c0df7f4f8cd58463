//go:build interop

package e2e

import (
	"strings"
	"testing"
	"time"

	"nftknock/test/lab"
)

// Knocks with programs of other projects. The build tag interop says that they are
// installed; a missing one fails the test.
func TestInteropClientsOfOthers(t *testing.T) {
	server := lab.Server4.String()
	for _, c := range []struct {
		name     string
		sequence string
		commands []string
	}{
		{"knock of knockd", "tcp/7001 udp/7105 tcp/7209", []string{"knock -d 50 " + server + " 7001:tcp 7105:udp 7209:tcp"}},
		{"nmap", "tcp/7001 tcp/7105 tcp/7209", []string{
			"nmap -Pn -n --max-retries 0 -p 7001 " + server,
			"nmap -Pn -n --max-retries 0 -p 7105 " + server,
			"nmap -Pn -n --max-retries 0 -p 7209 " + server,
		}},
		{"nc", "tcp/7001 tcp/7105 tcp/7209", []string{
			"nc -n -z -w 1 " + server + " 7001",
			"nc -n -z -w 1 " + server + " 7105",
			"nc -n -z -w 1 " + server + " 7209",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(access("ssh", c.sequence, "20s"))
			s.wantOpen(s.Clients[0], lab.Server4, false)
			for _, command := range c.commands {
				args := strings.Fields(command)
				// The exit status reports the closed port and is ignored; only a
				// missing program is an error.
				out, err := s.Clients[0].Run(args[0], args[1:]...)
				if exitStatus(err) < 0 {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
			}
			s.await("granted ")
			s.wantOpen(s.Clients[0], lab.Server4, true)
		})
	}
}

// Behind a firewall that drops them, the packets of a knock come several times: each
// client's run is one knock all the same, and another on purpose is the second.
func TestInteropRepetitionsAreNoKnock(t *testing.T) {
	server := lab.Server4.String()
	for _, c := range []struct{ name, command string }{
		{"nmap", "nmap -r -Pn -n -p 7001,7105,7209 " + server},
		{"nmap connects", "nmap -r -sT -Pn -n -p 7001,7105,7209 " + server},
		{"nc", "for p in 7001 7105 7209; do nc -n -z -w 4 " + server + " $p & sleep 0.02; done; wait"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(access("ssh", "tcp/7001 tcp/7105 tcp/7209", "60s", "limit = 2"))
			wall := "table inet wall { chain in { type filter hook input priority 0; tcp dport 7000-7999 drop; }; }"
			if out, err := (&lab.Client{NS: s.Server}).Run("nft", wall); err != nil {
				t.Fatalf("nft: %v\n%s", err, out)
			}
			if out, err := s.Clients[0].Run("sh", "-c", c.command); err != nil && exitStatus(err) != 1 {
				t.Fatalf("%s: %v\n%s", c.command, err, out)
			}
			_, next, err := s.daemon.Await("granted ", 0)
			if err != nil {
				t.Fatal(err)
			}
			// No packet counts before; nothing observable tells when one does.
			time.Sleep(6 * time.Second)
			if n := strings.Count(s.daemon.Log(), "event=granted "); n != 1 {
				t.Errorf("%d grants, want 1; log:\n%s", n, s.daemon.Log())
			}
			s.knock(s.Clients[0], lab.Server4, "tcp/7001", "tcp/7105", "tcp/7209")
			if _, _, err := s.daemon.Await("granted ", next); err != nil {
				t.Errorf("another knock: %v", err)
			}
		})
	}
}

// A scan of all ports by nmap, in random order, opens no service.
func TestInteropScanOpensNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", "tcp/7000 tcp/8000 tcp/9000", "20s"))
	for range 2 {
		if out, err := s.Clients[0].Run("nmap", "-Pn", "-n", "-T5", "-p-", lab.Server4.String()); err != nil {
			t.Fatalf("nmap: %v\n%s", err, out)
		}
	}
	s.wantOpen(s.Clients[0], lab.Server4, false)
	if n := len(s.grantedIn("nftknock")); n != 0 {
		t.Errorf("%d grants after scans", n)
	}
}

// SYNs of scanners are recognised as those of tools, not of an operating system.
func TestInteropScannersAreTools(t *testing.T) {
	server := lab.Server4.String()
	for _, c := range []struct{ want, command string }{
		{"Nmap SYN scan (a tool, exact", "nmap -sS -Pn -n -p 22 " + server},
		{"Nmap SYN scan (a tool, exact", "nmap -6 -sS -Pn -n -p 22 " + lab.Server6.String()},
		{"Nmap OS detection (a tool, exact", "nmap -O -Pn -n -p 22,23 --max-os-tries 1 " + server},
		{"hping (a tool, exact", "hping3 -S -c 1 -p 22 " + server},
		{"masscan (a tool, exact", "masscan -e eth0 --router-mac 02-00-00-00-00-02 --source-ip 192.168.10.2 -p 22 --wait 0 " + server},
		{"ZMap (a tool, exact", "zmap -q -i eth0 -G 02:00:00:00:00:02 -S 192.168.10.2 -p 22 -c 1 -b /dev/null " + server + "/32"},
	} {
		t.Run(strings.Fields(c.command)[0], func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.listen()
			args := strings.Fields(c.command)
			out, err := s.Clients[0].Run(args[0], args[1:]...)
			if exitStatus(err) < 0 {
				t.Fatalf("%s: %v\n%s", c.command, err, out)
			}
			s.await(c.want)
			if log := s.daemon.Log(); strings.Contains(log, "(exact") || strings.Contains(log, "(family") {
				t.Errorf("taken for a system:\n%s", log)
			}
		})
	}
}
