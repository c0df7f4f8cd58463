package policy

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

var update = flag.Bool("update", false, "write what is wanted into the files of testdata")

// testTime is what "in the past" is measured against.
var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testHost has the interfaces that the files below testdata list.
var testHost = []Interface{
	{Name: "lo"},
	{Name: "eth0"},
	{Name: "wg-home"},
	{Name: "eth1", AltNames: []string{"enp4s0", "uplink"}, Master: "bond0"},
	{Name: "eth2", Master: "bond0"},
	{Name: "bond0", Master: "br0"},
	{Name: "br0"},
}

// equal compares policies by what they mean: positions differ after a round
// trip, and a Regexp is its text.
var equal = cmp.Options{
	cmpopts.IgnoreTypes(Pos{}),
	cmp.Comparer(func(a, b *regexp.Regexp) bool {
		return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
	}),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// parseAsOf is Parse with what is known of the host, at testTime.
func parseAsOf(file string, data []byte, host Host) (*Policy, Diagnostics) {
	l := newLoader(testTime, &host)
	l.main(file, data)
	return l.result()
}

// TestFiles compares the diagnostics of each file below testdata with those
// that stand at its end in lines beginning with "#:". Those of bad have
// errors, those of warn warnings only, those of ok neither.
func TestFiles(t *testing.T) {
	for _, dir := range []string{"bad", "warn", "ok"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.toml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files for %s: %v", dir, err)
		}
		for _, path := range files {
			t.Run(dir+"/"+filepath.Base(path), func(t *testing.T) { testFile(t, dir, path) })
		}
	}
}

// listeners are those of a host on which something listens on port 4444 and on what the
// policy opens. A policy about that has a line "# listening: PORT..." with all of them.
func listeners(data []byte) map[port.Range]bool {
	listening := map[port.Range]bool{port.Single(packet.TCP, 4444): true, port.Single(packet.UDP, 4444): true}
	words := regexp.MustCompile(`open *= *\[.*`).FindAllString(string(data), -1)
	if line := regexp.MustCompile(`# listening:.*`).FindString(string(data)); line != "" {
		listening, words = make(map[port.Range]bool), []string{line}
	}
	for _, s := range regexp.MustCompile(`(tcp|udp)/[0-9-]+`).FindAllString(strings.Join(words, " "), -1) {
		if service, err := port.ParseService(s); err == nil {
			listening[service.At(0)] = true
		}
	}
	return listening
}

func testFile(t *testing.T, dir, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, diags := parseAsOf(filepath.Base(path), data, Host{Interfaces: testHost, Listening: listeners(data)})

	// The files use the published examples for whatever they are about.
	if name := filepath.Base(path); name != "published.toml" && name != "article.toml" {
		diags = slices.DeleteFunc(diags, func(d Diagnostic) bool { return d.Code == CodePublished })
	}
	text, _, _ := bytes.Cut(data, []byte("#: "))
	var got bytes.Buffer
	for _, d := range diags {
		got.WriteString("#: " + d.String() + "\n")
	}
	if *update {
		if err := os.WriteFile(path, append(text, got.Bytes()...), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(data[len(text):]), got.String()); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if diags.HasErrors() != (dir == "bad") || dir == "ok" && len(diags) > 0 || dir == "warn" && len(diags) == 0 {
		t.Errorf("a file of %q gave %d diagnostics, errors: %t", dir, len(diags), diags.HasErrors())
	}
	if (p == nil) != diags.HasErrors() {
		t.Errorf("policy is nil: %t, errors: %t", p == nil, diags.HasErrors())
	}
	if p != nil {
		checkRoundTrip(t, p)
	}
}

// checkRoundTrip verifies that what WriteTOML writes is the same policy, and
// that it writes the same again.
func checkRoundTrip(t *testing.T, p *Policy) {
	t.Helper()
	checkKept(t, p)
	p = withoutInlineKeys(p)
	var first, second bytes.Buffer
	if err := p.WriteTOML(&first); err != nil {
		t.Fatal(err)
	}
	again, diags := Parse("again", first.Bytes())
	if diags.HasErrors() {
		t.Fatalf("what was written does not parse: %v\n%s", diags, first.String())
	}
	if diff := cmp.Diff(p, again, equal); diff != "" {
		t.Errorf("round trip (-written +read):\n%s", diff)
	}
	if err := again.WriteTOML(&second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.String(), second.String()); diff != "" {
		t.Errorf("written twice (-first +second):\n%s", diff)
	}
}

// checkKept verifies that ParseKept reads the same policy from what WriteKept writes, without
// keys, and that the accesses with a key in the policy itself are withheld.
func checkKept(t *testing.T, p *Policy) {
	t.Helper()
	want := *p
	want.Accesses = slices.Clone(p.Accesses)
	for i := range want.Accesses {
		a := &want.Accesses[i]
		a.Withheld = a.Withheld || (a.Key != nil || a.Secret != nil) && a.KeyFile == "" && a.KeyCredential == "" ||
			a.HMACKey != nil && a.HMACKeyFile == "" && a.HMACKeyCredential == ""
		a.Key, a.HMACKey, a.Secret = nil, nil, nil
	}
	var text bytes.Buffer
	if err := p.WriteKept(&text); err != nil {
		t.Fatal(err)
	}
	got, diags := ParseKept("kept", text.Bytes())
	if diags.HasErrors() {
		t.Fatalf("what was kept does not parse: %v\n%s", diags, text.String())
	}
	if diff := cmp.Diff(&want, got, equal); diff != "" {
		t.Errorf("kept (-written +read):\n%s", diff)
	}
	for i := range got.Accesses {
		if a := &got.Accesses[i]; a.Withheld && a.OpenKeys() == nil {
			t.Errorf("access %q has its key", a.Name)
		}
	}
}

// withoutInlineKeys has files take the place of keys that stand in the policy,
// since these are not written.
func withoutInlineKeys(p *Policy) *Policy {
	q := *p
	q.Accesses = slices.Clone(p.Accesses)
	for i := range q.Accesses {
		a := &q.Accesses[i]
		if a.Key != nil || a.Secret != nil {
			a.Key, a.Secret, a.KeyFile = nil, nil, "/inline"
		}
		if a.HMACKey != nil {
			a.HMACKey, a.HMACKeyFile = nil, "/inline"
		}
	}
	return &q
}

func TestArticleExampleGivesThePolicyItSays(t *testing.T) {
	p, diags := Check("testdata/warn/article.toml", Review{TextOnly: true})
	if len(diags) != 1 || diags[0].Code != CodePublished {
		t.Fatalf("diagnostics: %v, want one about the sequence, which everyone can read", diags)
	}
	want := &Policy{
		NFLog:       NFLog{Group: 5, Workers: 1},
		NFTables:    NFTables{Table: "nftknock", Mode: ModeGate, Hide: HideDrop, Owner: OwnerAuto, Label: 127},
		Fingerprint: Fingerprint{Databases: []string{"builtin"}},
		Engine:      Engine{MaxSources: 262144, Tripwires: 256},
		State:       State{Dir: "/var/lib/nftknock"},
		Log:         Log{Format: LogAuto, Level: LevelInfo},
		Control:     Control{Socket: "/run/nftknock/control.sock"},
		Accesses: []Access{{
			Name:    "ssh-shared",
			Enabled: true,
			Source:  SourceFilter{Include: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
			Kind:    KindShared,
			Sequence: []port.Range{
				port.Single(packet.TCP, 50053), port.Single(packet.UDP, 6020),
				port.Echo, port.Echo,
				port.Single(packet.TCP, 24034), port.Single(packet.UDP, 9680),
			},
			Open:         []port.Range{port.Single(packet.TCP, 22)},
			Timeout:      30 * time.Second,
			MaxInterval:  time.Minute,
			Within:       time.Minute,
			Reorder:      100 * time.Millisecond,
			RequireOS:    regexp.MustCompile("(?i)linux"),
			OSConfidence: ConfidenceHigh,
		}},
	}
	if diff := cmp.Diff(want, p, equal); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if got := p.Accesses[0].Pos.String(); got != "testdata/warn/article.toml:18:1" {
		t.Errorf("the access is at %s", got)
	}
	if !p.Accesses[0].RequireOS.MatchString("Linux 4.19 or newer") {
		t.Error("require_os does not ignore case")
	}
}

func TestWriteTOMLIsReadable(t *testing.T) {
	p, _ := Check("testdata/ok/full.toml", Review{TextOnly: true})
	var got bytes.Buffer
	if err := p.WriteTOML(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/full.show-config"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("show-config (-want +got):\n%s", diff)
	}
}

func TestDefaultsComeFromAnEmptyFile(t *testing.T) {
	p, diags := Parse("empty", nil)
	want := defaults()
	if diff := cmp.Diff(&want, p, equal); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if len(diags) != 1 || diags[0].Severity != SeverityWarning || !strings.Contains(diags[0].Message, "nothing to open") {
		t.Errorf("diagnostics: %v", diags)
	}
}

func TestDatesWithoutAZoneAreLocalOnTheirOwnDay(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	defer func(old *time.Location) { time.Local = old }(time.Local)
	time.Local = berlin
	const access = "[[access]]\nname = \"x\"\nsequence = [\"tcp/5000\", \"udp/3000\", \"tcp/9000\"]\nopen = [\"tcp/22\"]\nexpires = "
	for text, want := range map[string]string{
		"2030-01-15":                "2030-01-14T23:00:00Z",
		"2030-07-15":                "2030-07-14T22:00:00Z", // summer time, whatever it is today
		"2030-07-15T12:00:00":       "2030-07-15T10:00:00Z",
		"2030-07-15 12:00:00+05:00": "2030-07-15T07:00:00Z",
	} {
		p, diags := Parse("x", []byte(access+text))
		if diags.HasErrors() {
			t.Errorf("%s: %v", text, diags)
			continue
		}
		if got := p.Accesses[0].Expires.UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestLongListsAreRefused(t *testing.T) {
	many := func(n int, format string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(items, ",")
	}
	for name, tt := range map[string]struct{ text, want string }{
		"interfaces": {
			"[nftables]\ninterfaces = [" + many(maxInterfaces+1, `"eth%d"`) + "]\n",
			"x:2:14: error: 257 interfaces are too many; the limit is 256",
		},
		"databases": {
			"[fingerprint]\ndatabases = [" + many(maxDatabases+1, `"/p0f/%d"`) + "]\n",
			"x:2:13: error: 65 databases are too many; the limit is 64",
		},
		"source": {
			access("a", 1) + "source = [" + many(maxSourceItems+1, `"2001:db8::%x"`) + "]\n",
			"x:5:10: error: source has 1025 entries; the limit is 1024",
		},
		"require_os": {
			access("a", 1) + `require_os = "` + strings.Repeat("x", maxRegexp+1) + "\"\n",
			"x:5:14: error: require_os has 1025 bytes; the limit is 1024",
		},
		"require_os type": {
			access("a", 1) + "require_os = 5\n",
			"x:5:14: error: require_os is an integer; want a string in quotes",
		},
	} {
		_, diags := Parse("x", []byte(tt.text))
		if diff := cmp.Diff(tt.want, diags.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
