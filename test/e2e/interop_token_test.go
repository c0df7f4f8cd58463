//go:build interop

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/test/lab"
)

// fwknop runs fwknop's client with a HOME of its own.
func (s *stage) fwknop(args ...string) {
	s.Helper()
	home := filepath.Join(s.Dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		s.Fatal(err)
	}
	args = append([]string{"HOME=" + home, "fwknop", "--no-save-args", "-U", "mbr", "-D", lab.Server4.String()}, args...)
	if out, err := s.Clients[0].Run("env", args...); err != nil {
		s.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// The client of fwknop opens services as with fwknopd.
func TestInteropFwknopClient(t *testing.T) {
	const hmac = "--use-hmac --key-base64-rijndael " + cipherKey + " --key-base64-hmac " + hmacKey
	for _, c := range []struct {
		name   string
		policy string // further lines
		cipher string
		hmac   string
		args   string
		log    string
	}{
		{"sha256", "", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s " + hmac, "granted 192.168.10.2 access to tcp/22 for 20s"},
		{"named address", "", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -a 192.168.10.2 " + hmac, "granted 192.168.10.2 access to tcp/22 for 20s"},
		{"sha384", `hmac = "sha384"`, "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s -m sha384 --hmac-digest-type sha384 " + hmac, "granted "},
		{"sha512", `hmac = "sha512"`, "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s -m sha512 --hmac-digest-type sha512 " + hmac, "granted "},
		{"sha3-256", `hmac = "sha3-256"`, "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s -m sha3_512 --hmac-digest-type sha3_256 " + hmac, "granted "},
		{"sha3-512", `hmac = "sha3-512"`, "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s -m sha3_256 --hmac-digest-type sha3_512 " + hmac, "granted "},
		{"several ports and a timeout", "max_timeout = \"5m\"", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22,udp/1194 -s -f 120 " + hmac,
			"granted 192.168.10.2 access to udp/1194 for 2m"},
		{"a timeout beyond the limit", "max_timeout = \"1m\"", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s -f 3600 " + hmac,
			"granted 192.168.10.2 access to tcp/22 for 1m"},
		{"passphrase without HMAC", "allow_unauthenticated = true", "3ncryptk3y", "", "-A tcp/22 -s --key-rijndael 3ncryptk3y", "granted "},
		{"legacy", "allow_unauthenticated = true\ncipher = \"legacy\"", "3ncryptk3y", "", "-A tcp/22 -s -M legacy --key-rijndael 3ncryptk3y", "granted "},

		{"bad a port that is not opened", "", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/80 -s " + hmac, "asks for a port that the access does not open: tcp/80"},
		{"bad another address", "", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -a 192.0.2.77 " + hmac, "asks for another address than its own: 192.0.2.77"},
		{"bad user", `require_user = ["root"]`, "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s " + hmac, "the user may not knock here"},
		{"bad key", "", "base64:" + hmacKey[:42] + "A=", "base64:" + cipherKey, "-A tcp/22 -s " + hmac, "no key matches"},
		{"bad command", "", "base64:" + cipherKey, "base64:" + hmacKey, "-C /bin/true -a 192.168.10.2 " + hmac, "commands are never run"},
		{"bad NAT", "", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -a 192.168.10.2 -N 10.0.0.5,55000 " + hmac, "asks for a forwarded port that the access does not allow: tcp/22 to 10.0.0.5:55000"},
		{"bad clock", "", "base64:" + cipherKey, "base64:" + hmacKey, "-A tcp/22 -s --time-offset-minus 10M " + hmac, "too old: made 10m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start("[[access]]\nname = \"ssh\"\nknock = \"spa\"\nopen = [\"tcp/22\", \"udp/1194\"]\ntimeout = \"20s\"\n" +
				s.keys(c.cipher, c.hmac) + c.policy + "\n")
			s.wantOpen(s.Clients[0], lab.Server4, false)
			s.fwknop(strings.Fields(c.args)...)
			s.await(c.log)
			s.wantOpen(s.Clients[0], lab.Server4, strings.HasPrefix(c.log, "granted "))
		})
	}
}

// The client of fwknop asks for forwarded ports as with fwknopd.
func TestInteropFwknopForward(t *testing.T) {
	for _, c := range []struct{ name, args, log, banner string }{
		{"-N", "-A tcp/2222 -N 10.0.0.5:22", "access to tcp/2222 (forwarded to 10.0.0.5:22) for 20s", behindBanner},
		{"-N without a port", "-A tcp/22 -N 10.0.0.5", "access to tcp/22 (forwarded to 10.0.0.5:22) for 20s", behindBanner},
		{"-N with a port", "-A tcp/22 -N 10.0.0.5 --nat-port 2222", "access to tcp/2222 (forwarded to 10.0.0.5:22) for 20s", behindBanner},
		{"-N with a timeout", "-A tcp/2222 -N 10.0.0.5:22 -f 45", "access to tcp/2222 (forwarded to 10.0.0.5:22) for 45s", behindBanner},
		{"-N with a random port", "-A tcp/22 -N 10.0.0.5:22 --nat-rand-port", "(forwarded to 10.0.0.5:22) for 20s", behindBanner},
		{"--nat-local with a port", "-A tcp/22 --nat-local --nat-port 2222", "access to tcp/2222 (forwarded to local:22) for 20s", "SSH-2.0-hidden"},
		{"--nat-local with a random port", "-A tcp/22 --nat-local --nat-rand-port", "(forwarded to local:22) for 20s", "SSH-2.0-hidden"},
		{"--nat-local with a timeout", "-A tcp/22 --nat-local --nat-rand-port -f 45", "(forwarded to local:22) for 45s", "SSH-2.0-hidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2)
			s.behind()
			s.start(s.spaForward(`forward = ["10.0.0.5:22", "local:22"]`))
			s.fwknop(strings.Fields("-a 192.168.10.2 --use-hmac --key-base64-rijndael " + cipherKey + " --key-base64-hmac " + hmacKey + " " + c.args)...)
			line := s.await(c.log)
			var dialled uint16
			_, granted, _ := strings.Cut(line, "access to tcp/")
			if _, err := fmt.Sscanf(granted, "%d", &dialled); err != nil {
				t.Fatal(err)
			}
			s.wantBanner(s.Clients[0], lab.Server4, dialled, c.banner)
			s.wantBanner(s.Clients[1], netip.MustParseAddr("192.168.11.1"), dialled, "")
		})
	}
}

// The client of fwknop sends its packet to any port and in several ways.
func TestInteropFwknopWays(t *testing.T) {
	const any = "port = \"any\"\nprotocol = \"any\"\n"
	for _, c := range []struct {
		name   string
		policy string
		args   string
		opens  bool
	}{
		{"udp", any, "", true},
		{"udp to a random port", any, "-r", true},
		{"udp to a random port of a range", "port = \"10000-65535\"\n", "-r", true},
		{"udp to a port below the range", "port = \"10000-65535\"\n", "-p 53", false},
		{"udp to a protected port", any, "-p 1194", true},
		{"udp to another port", "", "-p 53", false},
		{"raw udp", any, "-P udpraw -r", true},
		{"raw tcp", any, "-P tcpraw", true},
		{"raw tcp to a random port", any, "-P tcpraw -r", true},
		{"raw tcp to a protected port", any, "-P tcpraw -p 22", true},
		{"raw tcp to one port", "port = 443\nprotocol = \"tcp\"\n", "-P tcpraw -p 443", true},
		{"raw tcp where udp is expected", "", "-P tcpraw", false},
		{"icmp", "protocol = \"icmp\"\n", "-P icmp", true},
		{"icmp beside pings", "protocol = \"icmp\"\n" + tokenPings, "-P icmp --icmp-type 8 --icmp-code 0", true},
		{"icmp of another type", any, "-P icmp --icmp-type 13 --icmp-code 0", true},
		{"icmp where udp is expected", "port = \"any\"\n", "-P icmp", false},
		{"tcp connection to a server", any, "-P tcp -p 8080", false},
		{"http", any, "-P http -p 8080", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			if err := s.Serve(t.Context(), 8080, "not for knocks"); err != nil {
				t.Fatal(err)
			}
			s.start("[[access]]\nname = \"ssh\"\nknock = \"spa\"\nopen = [\"tcp/22\", \"udp/1194\"]\ntimeout = \"20s\"\n" +
				s.keys("base64:"+cipherKey, "base64:"+hmacKey) + c.policy)
			s.wantOpen(s.Clients[0], lab.Server4, false)
			args := "-A tcp/22 -a 192.168.10.2 --use-hmac --key-base64-rijndael " + cipherKey + " --key-base64-hmac " + hmacKey + " " + c.args
			s.fwknop(strings.Fields(args)...)
			if c.opens {
				s.await("granted 192.168.10.2 access to tcp/22 for 20s")
			}
			s.wantOpen(s.Clients[0], lab.Server4, c.opens)
			if strings.Contains(s.daemon.Log(), "refused") {
				t.Errorf("something was refused:\n%s", s.daemon.Log())
			}
		})
	}
}

// tokenPings is an access that has echo requests logged.
const tokenPings = `[[access]]
name = "pings"
sequence = ["icmp", "tcp/50053", "udp/6020"]
open = ["tcp/23"]
`

// fwknop's client sends no name that is no ASCII, whatever the locale; other clients do.
func TestInteropFwknopRefusesNamesOfNoASCII(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	home := filepath.Join(s.Dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, locale := range []string{"C", "C.UTF-8"} {
		out, err := s.Clients[0].Run("env", "HOME="+home, "LC_ALL="+locale, "fwknop", "--no-save-args", "-U", "müller", "-D", lab.Server4.String(),
			"-A", "tcp/22", "-s", "--use-hmac", "--key-base64-rijndael", cipherKey, "--key-base64-hmac", hmacKey)
		if err == nil || !strings.Contains(out, "INVALID_DATA_USER") {
			t.Errorf("%s: %v\n%s", locale, err, out)
		}
	}
}

// An authenticator and nc are enough to knock.
func TestInteropOathtoolAndNetcat(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start("[[access]]\nname = \"phone\"\nknock = \"totp\"\nopen = [\"tcp/22\"]\ntimeout = \"20s\"\n" + s.keys(oathKey, ""))
	c := s.Clients[0]
	run := func(name string, args ...string) string {
		out, err := c.Run(name, args...)
		if exitStatus(err) < 0 {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return strings.TrimSpace(out)
	}
	code := run("oathtool", "--totp", "-b", "-d", "8", oathKey)
	if len(code) != 8 {
		t.Fatalf("oathtool said %q", code)
	}
	knock := func() {
		// The last pair first: any order is accepted.
		for _, pair := range []int{3, 2, 1, 0} {
			run("nc", "-n", "-z", "-w", "1", lab.Server4.String(), lanePort(code, pair))
		}
	}
	s.wantOpen(c, lab.Server4, false)
	knock()
	s.await("one-time code matched for 192.168.10.2")
	s.await("granted 192.168.10.2 access to tcp/22 for 20s")
	s.wantOpen(c, lab.Server4, true)
	// A repetition within seconds counts as the same knock, a later one as a replay.
	time.Sleep(4 * time.Second)
	knock()
	s.await("one-time code refused for 192.168.10.2: already used")
}

// lanePort returns the port of a pair of digits of a code.
func lanePort(code string, pair int) string {
	port := fmt.Sprintf("%d", 40000+100*pair) // and the two digits in place of the last two
	return port[:3] + code[2*pair:2*pair+2]
}

// A code that loses a packet on its way has no influence on the next one.
func TestInteropLostLaneOfACode(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start("[[access]]\nname = \"phone\"\nknock = \"totp\"\nopen = [\"tcp/22\"]\ntimeout = \"20s\"\n" + s.keys(oathKey, ""))
	c := s.Clients[0]
	code := func(when string) string {
		out, err := c.Run("oathtool", "--totp", "-b", "-d", "8", "-N", when, oathKey)
		if out = strings.TrimSpace(out); err != nil || len(out) != 8 {
			t.Fatalf("oathtool said %q: %v", out, err)
		}
		return out
	}
	// The code of the step before is still accepted, so that the test need not wait.
	first, second := code("30 seconds ago"), code("now")
	lost := 0
	for lost < 3 && lanePort(first, lost) == lanePort(second, lost) {
		lost++
	}
	table := "table inet loss { chain out { type filter hook output priority 0; tcp dport " + lanePort(first, lost) + " drop; }; }"
	if out, err := c.Run("nft", table); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	for _, code := range []string{first, second} {
		var ports []string
		for pair := range 4 {
			ports = append(ports, lanePort(code, pair))
		}
		if out, err := c.Run("nmap", "-Pn", "-n", "--max-retries", "0", "-p", strings.Join(ports, ","), lab.Server4.String()); err != nil {
			t.Fatalf("nmap: %v\n%s", err, out)
		}
		s.wantOpen(c, lab.Server4, code == second)
	}
	s.await("granted 192.168.10.2 access to tcp/22 for 20s")
	if strings.Contains(s.daemon.Log(), "refused") {
		t.Errorf("a refusal was logged:\n%s", s.daemon.Log())
	}
}

// behindNAT makes n hosts that reach the server through the first client, which translates
// their addresses to its own.
func (s *stage) behindNAT(n int) []*lab.Client {
	s.Helper()
	router := s.Clients[0]
	err := router.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) })
	if err != nil {
		s.Fatal(err)
	}
	if out, err := router.Run("nft", "table ip nat { chain post { type nat hook postrouting priority srcnat; oifname eth* masquerade; }; }"); err != nil {
		s.Fatalf("nft: %v\n%s", err, out)
	}
	hosts := make([]*lab.Client, n)
	for i := range hosts {
		if hosts[i], err = router.Attach(i); err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { hosts[i].Close() })
	}
	return hosts
}

// Two clients behind one address knock at the same time, each with its own key, and both
// are granted access.
func TestInteropTwoClientsBehindNAT(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	policy := ""
	for i, key := range []string{cipherKey, hmacKey} {
		name := fmt.Sprint("user", i)
		policy += fmt.Sprintf("[[access]]\nname = %q\nknock = \"encrypted\"\nopen = [\"tcp/22\"]\nkey_file = %q\n",
			name, s.key(name, "base64:"+key))
	}
	s.start(policy)
	hosts := s.behindNAT(2)
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			out, err := h.Nftknock(lab.Server4.String(), "-e", "-P", "tcp", "-p", "22", "--key-file", filepath.Join(s.Dir, "keys", fmt.Sprint("user", i)))
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	s.await("access=user0")
	s.await("access=user1")
	s.wantOpen(hosts[0], lab.Server4, true)
	if strings.Contains(s.daemon.Log(), "refused") {
		t.Errorf("something was refused:\n%s", s.daemon.Log())
	}
}

// nftknock knocks with a stanza that fwknop has written.
func TestInteropStanzaOfFwknop(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.fwknop("-A", "tcp/22", "-s", "--key-gen", "--use-hmac", "--save-rc-stanza", "-n", "office", "-T")
	rc := filepath.Join(s.Dir, "home", ".fwknoprc")
	text, err := os.ReadFile(rc)
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 {
			keys[fields[0]] = "base64:" + fields[1]
		}
	}
	s.start(tokenAccess("spa", s.keys(keys["KEY_BASE64"], keys["HMAC_KEY_BASE64"])))
	out, err := s.Clients[0].Nftknock("-n", "office", "--rc", rc)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.await("granted 192.168.10.2 access to tcp/22 for 20s")
	s.wantOpen(s.Clients[0], lab.Server4, true)
}
