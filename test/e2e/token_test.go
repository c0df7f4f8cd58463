package e2e

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/test/lab"
)

// Keys for tests.
const (
	cipherKey = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
	hmacKey   = "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dzj6vH4/wYNFBsiKTA3PkVMU1phaG92fYSLkpmgp661vA=="
	oathKey   = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // 12345678901234567890, of RFC 6238
)

// key writes a key file and returns its path.
func (s *stage) key(name, key string) string {
	s.Helper()
	path, err := s.Write("keys/"+name, key+"\n")
	if err != nil {
		s.Fatal(err)
	}
	return path
}

// keys writes key files and returns the lines of a policy that name them.
func (s *stage) keys(cipher, hmac string) string {
	s.Helper()
	lines := "key_file = \"" + s.key("cipher", cipher) + "\"\n"
	if hmac != "" {
		lines += "hmac_key_file = \"" + s.key("hmac", hmac) + "\"\n"
	}
	return lines
}

// tokenAccess returns an [[access]] to tcp/22 for 20 seconds with more lines.
func tokenAccess(knock string, lines ...string) string {
	return "[[access]]\nname = \"ssh\"\nknock = \"" + knock + "\"\nopen = [\"tcp/22\"]\ntimeout = \"20s\"\n" +
		strings.Join(lines, "\n") + "\n"
}

// nftknock opens a service with every kind of knock, and the log has the messages of the
// 2004 article.
func TestTokens(t *testing.T) {
	const linux = "require_os = \"linux\"\n"
	for _, c := range []struct {
		name      string
		access    func(s *stage) string
		flags     string // {cipher}, {hmac} are key files
		log       []string
		sixAsWell bool
	}{
		{"siv", func(s *stage) string {
			return tokenAccess("encrypted", s.keys("base64:"+cipherKey, ""), linux, `require_user = ["mbr"]`)
		}, "-e -P tcp -p 22 --user mbr --key-file {cipher}",
			[]string{"decrypting knock sequence for ", "OS guess: Linux", "username mbr match"}, true},
		{"siv rotated", func(s *stage) string {
			return tokenAccess("encrypted", s.keys("base64:"+hmacKey, ""), linux)
		}, "-e -r -P tcp -p 22 --key-file {cipher}", []string{"OS guess: Linux"}, true},
		{"siv passphrase", func(s *stage) string {
			return tokenAccess("encrypted", s.keys("correct horse battery", ""))
		}, "-e -P tcp -p 22 --key-file {cipher}", nil, false},
		{"article", func(s *stage) string {
			return tokenAccess("encrypted", `encoding = "article"`, s.keys("fwknoptest", ""), linux, `require_user = ["mbr"]`)
		}, "-e --encoding article -a 192.168.10.2 -P tcp -p 22 -r --user mbr --key-file {cipher}",
			[]string{"decrypting knock sequence for ", "OS guess: Linux", "username mbr match"}, false},
		{"fwknop-1.9", func(s *stage) string {
			return tokenAccess("encrypted", `encoding = "fwknop-1.9"`, s.keys("fwknoptest", ""))
		}, "-e --encoding fwknop-1.9 -P tcp -p 22 --key-file {cipher}", nil, false},
		{"totp", func(s *stage) string {
			return tokenAccess("totp", s.keys(oathKey, ""), linux)
		}, "--totp --key-file {cipher}", []string{"one-time code matched for ", "OS guess: Linux"}, true},
		{"spa", func(s *stage) string {
			return tokenAccess("spa", s.keys("base64:"+cipherKey, "base64:"+hmacKey))
		}, "--spa -P tcp -p 22 --user mbr --key-file {cipher} --hmac-key-file {hmac}",
			[]string{"decrypting SPA packet for ", "username mbr match"}, true},
		{"siv, name of no ASCII", func(s *stage) string {
			return tokenAccess("encrypted", s.keys("base64:"+cipherKey, ""), `require_user = ["müller"]`)
		}, "-e -P tcp -p 22 --user müller --key-file {cipher}", []string{"username müller match"}, false},
		{"spa, name of no ASCII", func(s *stage) string {
			return tokenAccess("spa", s.keys("base64:"+cipherKey, "base64:"+hmacKey), `require_user = ["müller"]`)
		}, "--spa -P tcp -p 22 --user müller --key-file {cipher} --hmac-key-file {hmac}", []string{"username müller match"}, false},
	} {
		servers := map[string]netip.Addr{"IPv4": lab.Server4}
		if c.sixAsWell {
			servers["IPv6"] = lab.Server6
		}
		for family, server := range servers {
			t.Run(c.name+" "+family, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, 1)
				s.start(c.access(s))
				client := s.Clients[0]
				s.wantOpen(client, server, false)
				flags := strings.NewReplacer("{cipher}", filepath.Join(s.Dir, "keys/cipher"),
					"{hmac}", filepath.Join(s.Dir, "keys/hmac")).Replace(c.flags)
				s.knock(client, server, strings.Fields(flags)...)
				src := client.Addr4.String()
				if server.Is6() {
					src = client.Addr6.String()
				}
				s.await("granted " + src + " access to tcp/22 for 20s")
				for _, words := range c.log {
					s.await(words)
				}
				s.wantOpen(client, server, true)
				s.refusesReplay(client, server, c.name, flags)
				for _, key := range []string{cipherKey, hmacKey, oathKey, "fwknoptest", "correct horse"} {
					if strings.Contains(s.daemon.Log(), key) {
						t.Errorf("the log holds a key")
					}
				}
			})
		}
	}
}

// refusesReplay repeats a knock whose packets are the same, and wants it refused.
func (s *stage) refusesReplay(c *lab.Client, server netip.Addr, kind, flags string) {
	s.Helper()
	if kind != "article" && kind != "totp" {
		return
	}
	time.Sleep(4 * time.Second) // sooner it is taken for a repetition
	for range 2 {
		s.knock(c, server, strings.Fields(flags)...)
		if kind == "article" || strings.Contains(s.daemon.Log(), "already used") {
			break
		}
		time.Sleep(4 * time.Second) // a new step had begun
	}
	s.await("already used")
}

// A replay is refused after the daemon was killed, and from any address.
func TestSpentAfterKill(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	s.write(tokenAccess("encrypted", `encoding = "article"`, s.keys("fwknoptest", ""), "allow_other_address = true"))
	flags := strings.Fields("-e --encoding article -a 192.168.10.2 -P tcp -p 22 --user mbr --key-file " + filepath.Join(s.Dir, "keys/cipher"))
	s.launch()
	s.await("ready: ")
	s.knock(s.Clients[0], lab.Server4, flags...)
	s.await("granted 192.168.10.2 access to tcp/22")
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := s.daemon.Wait(); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.await("ready: ")
	defer func() {
		if _, err := s.daemon.Stop(); err != nil {
			t.Error(err)
		}
	}()
	s.knock(s.Clients[1], lab.Server4, flags...)
	s.await("encrypted knock sequence refused for 192.168.11.2: already used")
}

// With a damaged replay store the daemon grants no access, and logs why.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.write(tokenAccess("totp", s.keys(oathKey, "")))
	if err := os.MkdirAll(filepath.Join(s.Dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write("state/spent.db", strings.Repeat("no database ", 1000)); err != nil {
		t.Fatal(err)
	}
	s.launch()
	s.await("store of spent tokens is damaged: \"" + filepath.Join(s.Dir, "state/spent.db"))
	s.await("ready: ")
	defer func() {
		if status, err := s.daemon.Stop(); err != nil || status != 0 {
			t.Errorf("status %d, %v", status, err)
		}
	}()
	s.knock(s.Clients[0], lab.Server4, "--totp", "--key-file", filepath.Join(s.Dir, "keys/cipher"))
	s.await("cannot record the knock of 192.168.10.2, so it opens nothing")
	s.wantOpen(s.Clients[0], lab.Server4, false)
}

// An SPA packet opens a service once: not a second time, not from another address, and not
// in another spelling.
func TestSPAReplay(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	s.start(tokenAccess("spa", s.keys("base64:"+cipherKey, ""), "allow_unauthenticated = true"))
	out, err := s.Clients[0].Nftknock("-T", "--spa", "-p", "22", "--hmac", "none",
		"--key-file", filepath.Join(s.Dir, "keys/cipher"), lab.Server4.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, after, _ := strings.Cut(out, "[+] SPA packet: ")
	packet, _, _ := strings.Cut(after, "\n")
	send := func(c *lab.Client, payload string) {
		t.Helper()
		err := c.Do(func() error {
			conn, err := net.Dial("udp", netip.AddrPortFrom(lab.Server4, 62201).String())
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte(payload))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, written := range []string{packet + "=AAAA", packet + "AAAA", packet + "="} {
		send(s.Clients[1], written)
	}
	send(s.Clients[0], packet)
	s.await("granted 192.168.10.2 access to tcp/22")
	send(s.Clients[0], packet)
	s.await("SPA packet refused for 192.168.10.2: already used")
	send(s.Clients[1], packet)
	s.await("SPA packet refused for 192.168.11.2: already used")
	s.wantOpen(s.Clients[1], lab.Server4, false)
}

// The log says why an encrypted knock was refused.
func TestEncryptedRefusals(t *testing.T) {
	for _, c := range []struct {
		name, policy, key, flags, log string
	}{
		{"key", "", hmacKey, "-p 22", "no key matches"},
		{"user", `require_user = ["root"]`, cipherKey, "-p 22 --user mbr", "the user may not knock here"},
		{"port", "", cipherKey, "-p 80", "asks for a port that the access does not open: tcp/80"},
		{"address", "", cipherKey, "-p 22 -a 192.0.2.77", "asks for another address than its own: 192.0.2.77"},
		{"source", `source = ["10.0.0.0/8"]`, cipherKey, "-p 22", "the access is not for this address"},
		{"system", `require_os = "windows"`, cipherKey, "-p 22", "not accepted for 192.168.10.2, required: windows"},
		{"expired", "expires = 2020-01-01", cipherKey, "-p 22", "access has expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(tokenAccess("encrypted", s.keys("base64:"+cipherKey, ""), c.policy))
			flags := "-e --key-file " + s.key("client", "base64:"+c.key) + " " + c.flags
			s.knock(s.Clients[0], lab.Server4, strings.Fields(flags)...)
			s.await(c.log)
			s.wantOpen(s.Clients[0], lab.Server4, false)
		})
	}
}
