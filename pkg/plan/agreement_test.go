package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// host is the network namespace in which the tables of these tests are made: one for
// all, since a fuzz target would otherwise make thousands.
var host = sync.OnceValues(netns.New)

// checkAgreement verifies that what "nftknockd check" accepts can be run: a plan can
// be made of it, the engine and the kernel take that, and every access can be given
// all that it opens.
func checkAgreement(t *testing.T, text string) {
	t.Helper()
	p, diags := policy.Parse("policy.toml", []byte(text))
	if diags.HasErrors() {
		return
	}
	plan, err := New(p)
	if errors.Is(err, ErrNothing) && len(enabled(p)) == 0 {
		return // "check" warns of it
	}
	if err != nil {
		t.Fatalf("no plan: %v", err)
	}
	if outline, err := Outline(p); err != nil || outline.Ruleset.String() != plan.Ruleset.String() {
		t.Fatalf("the outline hides something else: %v", err)
	}
	if err := plan.Ruleset.Validate(); err != nil {
		t.Fatalf("bad ruleset: %v", err)
	}
	if _, err := knock.New(plan.Engine); err != nil {
		t.Fatalf("no engine: %v", err)
	}
	if diff := cmp.Diff(policy.Shares(plan.Accesses), plan.Ruleset.Quotas); diff != "" {
		t.Fatalf("policy and ruleset share the room for grants out differently:\n%s", diff)
	}
	for _, a := range plan.Accesses {
		if quota := plan.Ruleset.Quotas[a.Name]; quota < len(a.Open) {
			t.Fatalf("access %q opens %d services and may have %d grants", a.Name, len(a.Open), quota)
		}
	}
	checkTable(t, plan)
}

// checkTable makes the table of a plan and its grants in the kernel.
func checkTable(t *testing.T, plan *Plan) {
	t.Helper()
	netnstest.Require(t)
	ns, err := host()
	if err != nil {
		t.Fatal(err)
	}
	config := gate.Config{Table: plan.Policy.NFTables.Table}
	if plan.Policy.NFTables.Owner == policy.OwnerOff {
		config.Owner = gate.OwnerOff
	}
	var k *gate.Kernel
	netnstest.Do(t, ns, func() (err error) {
		k, err = gate.Open(config)
		return err
	})
	defer k.Close()
	if err := k.Apply(plan.Ruleset); err != nil {
		t.Fatalf("apply: %v", err)
	}
	defer func() {
		if err := k.Remove(); err != nil {
			t.Errorf("remove: %v", err)
		}
	}()
	given := grantAll(t, k, plan)
	if config.Owner == gate.OwnerOff {
		deleteTable(t, ns, config.Table)
		if repaired, err := k.Repair(); err != nil || !repaired {
			t.Fatalf("repaired: %t, %v", repaired, err)
		}
		// A repair gives grants again that no connection uses up.
		given = slices.DeleteFunc(given, func(g gate.Grant) bool { return g.Once })
	}
	running, err := k.Grants()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range given {
		if !slices.ContainsFunc(running, func(r gate.Grant) bool {
			return r.Source == g.Source && r.Service == g.Service && r.Once == g.Once
		}) {
			t.Errorf("no grant of %s to %s among %d", g.Service, g.Source, len(running))
		}
	}
}

// grantAll carries out what knocks of some accesses come to, from IPv4 and IPv6, and
// gives the grants that go on for a while. It leaves the middle of long lists out.
func grantAll(t *testing.T, k *gate.Kernel, plan *Plan) (given []gate.Grant) {
	t.Helper()
	const most = 6
	for _, a := range ends(plan.Accesses, most) {
		services := ends(a.Open, most)
		// Whoever sends a message may ask for a single port of a range.
		if a.Kind == policy.KindSPA || a.Kind == policy.KindEncrypted {
			for _, s := range services {
				services = append(services, s.At(0), s.At(s.Ports()-1))
			}
		}
		for _, from := range []string{"192.0.2.77", "2001:db8::77"} {
			d := Decision{Access: a, Allow: netip.MustParseAddr(from), Services: distinct(slices.Clone(services)), Timeout: max(a.Timeout, a.MaxTimeout)}
			for _, g := range d.Grants() {
				if err := k.Grant(g); err != nil {
					t.Fatalf("access %q: %v", a.Name, err)
				}
				// A shorter one may be over before it is looked for.
				if g.Timeout >= 30*time.Second {
					given = append(given, g)
				}
			}
		}
	}
	return given
}

// ends are the first and the last items of a list, n at most.
func ends[T any](list []T, n int) []T {
	if len(list) <= n {
		return slices.Clone(list)
	}
	return slices.Concat(list[:n/2], list[len(list)-n/2:])
}

// deleteTable deletes a table as another program does.
func deleteTable(t *testing.T, ns *netns.NS, name string) {
	t.Helper()
	netnstest.Do(t, ns, func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
		return conn.Flush()
	})
}

// A maker makes a policy out of bytes. Each choice takes one; there is always a
// choice, and the first one where none is left.
type maker struct {
	choices []byte
	odd     int // how many values were chosen that are at or beyond their bounds
	strings.Builder
}

func (m *maker) number(n int) int {
	if len(m.choices) == 0 {
		return 0
	}
	c := int(m.choices[0])
	m.choices = m.choices[1:]
	return c % n
}

func (m *maker) one(words ...string) string { return words[m.number(len(words))] }

// key writes a key with one of some values, or leaves it out. Values behind "|" are
// those that policy and gate could see differently; a text has one of them, since
// a single bad one would hide all others.
func (m *maker) key(name string, values ...string) {
	const most = 1
	usual := values
	if bar := slices.Index(values, "|"); bar >= 0 {
		usual = values[:bar]
		if m.odd < most && m.number(16) == 15 {
			m.odd++
			fmt.Fprintf(m, "%s = %s\n", name, m.one(values[bar+1:]...))
			return
		}
	}
	if v := m.one(append([]string{""}, usual...)...); v != "" {
		fmt.Fprintf(m, "%s = %s\n", name, v)
	}
}

func longest(n int) string { return strings.Repeat("x", n) }

// quoted are strings of TOML.
func quoted(words ...string) []string {
	var list []string
	for _, w := range words {
		if w != "|" {
			w = fmt.Sprintf("%q", w)
		}
		list = append(list, w)
	}
	return list
}

// writePolicy makes the text of a policy: mostly a good one, with values at and
// beyond their bounds.
func writePolicy(choices []byte) string {
	m := &maker{choices: choices}
	m.WriteString("[nflog]\n")
	m.key("group", "0", "5", "65472", "65535")
	m.key("workers", "1", "2", "|", "63", "64", "65")
	m.WriteString("[nftables]\n")
	m.key("table", quoted("x", "|", "_x", "X.y-z_9", "a.", "a-", "9x", "-", ".x", "mark", "filter", "nat2", longest(64), longest(65), "tüt", "a/b", "a*", "inet", "last")...)
	m.key("label", "1", "127", "63", "|", "126", "128", "0")
	m.key("hide", quoted("reject", "drop")...)
	m.key("owner", quoted("off", "auto")...)
	m.key("interfaces", `["lo"]`, "|", `["eth0", "a.b", "`+longest(15)+`"]`, `["x'y"]`, `["a$b", "a,b", "a;b", "a@b", "0"]`, `["ä"]`)
	m.WriteString("[engine]\n")
	m.key("tripwires", "0", "256", "4096")
	m.key("max_sources", "256", "4096")
	kinds := 1 + m.number(4)
	copies := []int{1, 1, 1, 1, 1, 2, 40, 400}[m.number(8)]
	for i := range kinds {
		before := m.Len()
		m.access(i)
		// The same access under many names, with an address of its own each.
		text := m.String()[before:]
		if strings.Contains(text, "knock = \"encrypted\"") && !strings.Contains(text, "encoding") {
			// To make a key of a passphrase takes the engine a tenth of a second.
			text = keyLine.ReplaceAllString(text, `key = "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="`)
		}
		for n := 1; n < copies; n++ {
			again := strings.Replace(text, `name = "a`, fmt.Sprintf(`name = "c%d.`, n), 1)
			again = strings.Replace(again, longest(60), "", 1)
			m.WriteString(again)
		}
	}
	return m.String()
}

var keyLine = regexp.MustCompile(`(?m)^key = .*$`)

// access writes one access.
func (m *maker) access(i int) {
	fmt.Fprintf(m, "[[access]]\nname = \"a%d%s\"\n", i, m.one("", longest(60), "-._", longest(62)))
	m.key("enabled", "true", "true", "false")
	m.key("source", `["any"]`, `["10.0.0.0/8", "!10.1.0.0/16"]`, `["2001:db8::/32"]`, `["192.0.2.1"]`)
	open := m.open()
	fmt.Fprintf(m, "open = %s\n", open)
	forward := m.forward(open)
	m.key("timeout", quoted("1s", "24h", "1.5s", "|", "1000ms", "1s999us", "999ms")...)
	m.key("limit", "1", "1000000000")
	if !forward {
		m.key("single_use", "true", "false")
		m.key("prefix4", "8", "24", "31", "32")
		m.key("prefix6", "16", "48", "127", "128", "64")
	}
	m.key("expires", "2099-01-01")
	switch m.number(5) {
	case 0:
		m.key("sequence", "|", `["tcp/1", "udp/65535"]`)
		if !strings.Contains(m.String()[strings.LastIndex(m.String(), "[[access]]"):], "sequence") {
			fmt.Fprintf(m, "sequence = [\"tcp/%d\", \"icmp\", \"udp/%d\"]\n", 50000+i, 51000+i)
		}
		m.key("within", quoted("1h", "10s", "|", "1ms")...)
		m.key("require_os", quoted("linux", "|", "")...)
	case 1:
		m.WriteString("knock = \"encrypted\"\n")
		m.secret("key", quoted("a passphrase", "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", longest(8), longest(1024))...)
		m.key("port_base", "52736", "1024", "|", "1", "52737")
		m.message()
	case 2:
		fmt.Fprintf(m, "knock = \"encrypted\"\nencoding = %q\n", m.one("article", "fwknop-1.9"))
		m.secret("key", quoted(longest(8), longest(15), "|", longest(16), "pass wörd", "wörds")...)
		m.key("port_base", "65280", "30000", "|", "1", "65281")
		m.message()
	case 3:
		m.WriteString("knock = \"totp\"\n")
		m.secret("key", quoted(strings.Repeat("A", 26), strings.Repeat("A", 205), "|", strings.Repeat("A", 206))...)
		m.key("algorithm", quoted("sha1", "sha256")...)
		m.key("port_base", "65136", "30000", "|", "1", "65137")
		m.key("max_attempts", "1", "1000")
	case 4:
		m.WriteString("knock = \"spa\"\n")
		m.secret("key", quoted("x", longest(32), "|", longest(33), "base64:AA")...)
		m.secret("hmac_key", quoted("y", longest(128), "|", longest(129))...)
		m.key("hmac", quoted("md5", "sha1", "sha384", "sha512", "sha3-256", "sha3-512", "sha3_256")...)
		m.key("cipher", quoted("legacy", "cbc", "|", "CBC")...)
		m.key("allow_unauthenticated", "true")
		m.key("max_timeout", quoted("24h", "|", "1s")...)
		m.key("port", "53", "65535", `"any"`, `"10000-65535"`, `"20-25"`, "|", "1", "0", `"1"`, `"0-1"`)
		m.key("protocol", quoted("any", "tcp", "icmp", "udp")...)
		m.message()
	}
}

// secret writes a key that cannot be left out.
func (m *maker) secret(name string, values ...string) {
	before := m.Len()
	if m.key(name, values...); m.Len() == before {
		fmt.Fprintf(m, "%s = %s\n", name, values[0])
	}
}

func (m *maker) message() {
	m.key("require_user", `["mbr"]`, "|", `["eight888"]`)
	m.key("allow_other_address", "true")
}

// forward writes where some of what is opened leads, if it does.
func (m *maker) forward(open string) bool {
	if m.number(4) != 3 {
		return false
	}
	var items []string
	for _, s := range []string{"tcp/22", "tcp/1"} {
		if strings.Contains(open, fmt.Sprintf("%q", s)) {
			items = append(items, m.one(s+" -> 10.0.0.5:22", s+" -> [2001:db8::5]:65535", s+"->local:2222"))
		}
	}
	if len(items) == 0 {
		return false
	}
	fmt.Fprintf(m, "forward = [%s]\n", strings.Join(quoted(items...), ", "))
	m.key("masquerade", "true", "false")
	return true
}

// open writes what an access opens.
func (m *maker) open() string {
	var many []string
	for n := range 1 + m.number(4) {
		base := 1000 * m.number(64)
		switch m.number(8) {
		case 0:
			many = append(many, "tcp/22")
		case 1:
			many = append(many, fmt.Sprintf("udp/%d", base+n))
		case 2:
			many = append(many, fmt.Sprintf("tcp/%d-%d", base+n, base+n+1))
		case 3:
			many = append(many, fmt.Sprintf("udp/%d-%d", base, base+511))
		case 4:
			many = append(many, "tcp/1", "tcp/65535", "udp/65534-65535")
		case 5:
			many = append(many, fmt.Sprintf("tcp/%d-%d", base+1, base+300))
		case 6: // single ports that are no range
			for p := range 100 + 50*n {
				many = append(many, fmt.Sprintf("tcp/%d", base+2*p+1))
			}
		case 7: // many ranges
			for p := range 40 {
				many = append(many, fmt.Sprintf("tcp/%d-%d", base+3*p+1, base+3*p+2))
			}
		}
	}
	return "[" + strings.Join(quoted(many...), ", ") + "]"
}

// FuzzAgreement: a policy that is accepted can be run.
func FuzzAgreement(f *testing.F) {
	for i := range byte(8) {
		for j := range byte(5) {
			f.Add([]byte{0, i, i, i, i, 1, i, j, 0, j, i % 4, 0, i, i, i, 0, j, i, i, j, i, i, 0, j, 1 + i%3, i, j, i, j, i, j})
		}
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 256 {
			return
		}
		text := writePolicy(choices)
		defer func() {
			if t.Failed() {
				t.Logf("the policy:\n%.4000s", text)
			}
		}()
		checkAgreement(t, text)
	})
}

// Policies by chance, the same ones each time, and enough of them that are accepted.
func TestAgreementByChance(t *testing.T) {
	policies := 30
	if n, err := strconv.Atoi(os.Getenv("NFTKNOCK_POLICIES")); err == nil {
		policies = n
	}
	chance := rand.New(rand.NewPCG(1, uint64(policies)))
	accepted := 0
	for range policies {
		choices := make([]byte, 160)
		for i := range choices {
			choices[i] = byte(chance.Uint32())
		}
		text := writePolicy(choices)
		if _, diags := policy.Parse("policy.toml", []byte(text)); !diags.HasErrors() {
			accepted++
		} else if testing.Verbose() {
			t.Log(diags[slices.IndexFunc(diags, func(d policy.Diagnostic) bool { return d.Severity == policy.SeverityError })])
		}
		// The check may end the test, so the policy is logged whatever happens.
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("the policy:\n%.20000s", text)
				}
			}()
			checkAgreement(t, text)
		}()
	}
	if accepted < policies/10 {
		t.Errorf("%d of %d policies were accepted", accepted, policies)
	}
	t.Logf("%d of %d policies were accepted", accepted, policies)
}

// The policies in testdata are accepted, and so they run.
func TestAgreement(t *testing.T) {
	files, err := filepath.Glob("testdata/agreement/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkAgreement(t, string(text))
		})
	}
}
