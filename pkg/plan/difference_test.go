package plan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const keyedPolicy = `
[fingerprint]
databases = ["builtin"]
[[access]]
name = "ssh"
sequence = ["udp/7131", "udp/7232"]
open = ["tcp/22"]
[[access]]
name = "key"
knock = "encrypted"
key = "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
open = ["tcp/22"]
`

func TestCompare(t *testing.T) {
	running := outlined(t, keyedPolicy)
	running.databases = digestFiles(running.Policy.Fingerprint.Databases)
	text, err := json.Marshal(running.Print([]byte("a salt")))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"7131", "AAECAwQF"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the print shows %q", secret)
		}
	}
	var print Print
	if err := json.Unmarshal(text, &print); err != nil {
		t.Fatal(err)
	}
	ssh := keyedPolicy[strings.Index(keyedPolicy, "[[access]]"):strings.LastIndex(keyedPolicy, "[[access]]")]
	for name, tt := range map[string]struct {
		old, new, needs string
		changed         []string
	}{
		"nothing":  {"", "", NeedsNothing, nil},
		"comment":  {"name = \"ssh\"", "# of the admins\nname = \"ssh\"", NeedsNothing, nil},
		"sequence": {"7131", "7151", Reload, []string{`access "ssh"`}},
		"key":      {"base64:AAEC", "base64:AAED", Reload, []string{`the key of access "key"`}},
		"new":      {"", "[[access]]\nname = \"more\"\nsequence = [\"udp/7131\", \"udp/7232\"]\nopen = [\"tcp/23\"]\n", Reload, []string{`access "more", which is new`}},
		"removed":  {ssh, "", Reload, []string{`access "ssh", which is removed`}},
		"renamed":  {`"ssh"`, `"door"`, Reload, []string{`access "door", which is new`, `access "ssh", which is removed`}},
		"level":    {"[fingerprint]", "[log]\nlevel = \"debug\"\n[fingerprint]", Reload, []string{"[log] level"}},
		"hide":     {"[fingerprint]", "[nftables]\nhide = \"reject\"\n[fingerprint]", Reload, []string{"[nftables] hide"}},
		"group":    {"[fingerprint]", "[nflog]\ngroup = 6\n[log]\nlevel = \"debug\"\n[fingerprint]", Restart, []string{"[log] level", "[nflog] group"}},
		"socket":   {"[fingerprint]", "[control]\nsocket = \"\"\n[fingerprint]", Restart, []string{"[control] socket"}},
	} {
		next := keyedPolicy
		if tt.old != "" {
			next = strings.Replace(next, tt.old, tt.new, 1)
		} else {
			next += tt.new
		}
		d := print.Compare(outlined(t, next))
		if diff := cmp.Diff(tt.changed, d.Changed); diff != "" || d.Needs != tt.needs || len(d.Unread) != 0 {
			t.Errorf("%s: needs %s, want %s; not compared: %v; changed (-want +got):\n%s", name, d.Needs, tt.needs, d.Unread, diff)
		}
	}
	// A user who may not read the key hears that it was not compared.
	unread := outlined(t, keyedPolicy)
	for i := range unread.Policy.Accesses {
		unread.Policy.Accesses[i].Key = nil
	}
	d := print.Compare(unread)
	// Parse reads the key that is in the policy itself: if it did not, this says nothing.
	if d.Needs != NeedsNothing || len(d.Unread) != 1 || d.Unread[0] != "key" {
		t.Errorf("without the key: %+v", d)
	}
	if d := print.Compare(outlined(t, strings.Replace(keyedPolicy, ssh, "[[access]]\nname = \"ssh\"\nsequence = [\"udp/7131\", \"udp/7232\"]\nopen = [\"tcp/23\"]\n", 1))); len(d.Opened.Services) != 0 {
		t.Errorf("tcp/22 is still opened by another access, and said to be hidden no longer: %+v", d.Opened)
	}
}

// What a signature file holds counts, and not only its name.
func TestCompareSignatureFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p0f.fp")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	p := outlined(t, strings.Replace(keyedPolicy, `["builtin"]`, `["builtin", "`+file+`"]`, 1))
	p.databases = digestFiles(p.Policy.Fingerprint.Databases)
	print := p.Print([]byte("a salt"))
	if d := print.Compare(p); d.Needs != NeedsNothing {
		t.Errorf("the same: %+v", d)
	}
	write("two")
	if d := print.Compare(p); d.Needs != Reload || len(d.Changed) != 1 {
		t.Errorf("another text: %+v", d)
	}
}

// The words of what is needed are compared as texts.
func TestNeedsAreOrdered(t *testing.T) {
	if NeedsNothing >= Reload || Reload >= Restart {
		t.Error("a restart must be more than a reload, and a reload more than nothing")
	}
	p := outlined(t, keyedPolicy)
	for _, key := range RestartKeys {
		if _, ok := p.Policy.Settings()[key]; !ok {
			t.Errorf("%s is no setting", key)
		}
	}
}
