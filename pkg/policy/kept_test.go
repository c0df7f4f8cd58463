package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An access that accepts packets without HMAC only where the policy has no HMAC key must not
// become one that does, because its HMAC key is not kept.
func TestAnHMACKeyThatIsNotKept(t *testing.T) {
	const text = `[[access]]
name = "spa"
knock = "spa"
open = ["tcp/22"]
key_file = "/nowhere/at/all"
hmac_key = "correct horse battery"
allow_unauthenticated = true
`
	p, diags := Parse("a.toml", []byte(text))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var kept bytes.Buffer
	if err := p.WriteKept(&kept); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept.String(), "horse") {
		t.Errorf("the key is kept:\n%s", kept.String())
	}
	p, diags = ParseKept("kept", kept.Bytes())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if a := &p.Accesses[0]; !a.Withheld || a.OpenKeys() == nil {
		t.Errorf("withheld %v, and its keys are said to be there", a.Withheld)
	}
	// A policy of an administrator has no such key.
	if _, diags = Parse("kept", kept.Bytes()); !diags.HasErrors() {
		t.Error("Parse reads what only ParseKept may")
	}
}

func TestOpenKeys(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for name, text := range map[string]string{"good": "correct horse", "bad": "base64:!", "two": "a\nb", "mbr": missingCredential} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return "key_file = \"" + filepath.Join(dir, name) + "\"\n" }
	for name, c := range map[string]struct{ access, err string }{
		"ok":                    {"knock = \"encrypted\"\n" + file("good"), ""},
		"ok without keys":       {"knock = \"shared\"\nsequence = [\"tcp/1\", \"tcp/3\", \"tcp/2\"]\n", ""},
		"ok credential":         {"knock = \"encrypted\"\nkey_credential = \"good\"\n", ""},
		"ok without HMAC":       {"knock = \"spa\"\nallow_unauthenticated = true\n" + file("good"), ""},
		"missing":               {"knock = \"encrypted\"\n" + file("none"), "key_file: cannot read it: no such file or directory; want a file that holds the key, of mode 0600"},
		"bad":                   {"knock = \"encrypted\"\n" + file("bad"), "key_file: bad key"},
		"two lines":             {"knock = \"totp\"\n" + file("two"), "key_file: bad key file"},
		"not for this kind":     {"knock = \"totp\"\n" + file("good"), "key_file: bad secret"},
		"missing credential":    {"knock = \"encrypted\"\nkey_credential = \"none\"\n", "key_credential: cannot read it"},
		"stand-in credential":   {"knock = \"spa\"\nallow_unauthenticated = true\nkey_credential = \"mbr\"\n", "key_credential: its file was missing when the service started"},
		"second key is missing": {"knock = \"spa\"\nhmac_" + file("none") + file("good"), "hmac_key_file: cannot read it"},
	} {
		p, diags := Parse("a.toml", []byte("[[access]]\nname = \"a\"\nopen = [\"tcp/22\"]\n"+c.access))
		if diags.HasErrors() {
			t.Fatal(name, diags)
		}
		err := p.Accesses[0].OpenKeys()
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)):
			t.Errorf("%s: %v, want %q", name, err, c.err)
		case err != nil && strings.Contains(err.Error(), "horse"):
			t.Errorf("%s: %v shows the key", name, err)
		}
	}
}

// What stands in the unit file for a credential whose file is missing must be no key: it is
// known to everyone.
func TestTheStandInIsNoKey(t *testing.T) {
	for _, knock := range []string{
		`knock = "encrypted"`, "knock = \"encrypted\"\nencoding = \"article\"", "knock = \"encrypted\"\nencoding = \"fwknop-1.9\"",
		`knock = "totp"`, "knock = \"spa\"\nallow_unauthenticated = true",
	} {
		text := "[[access]]\nname = \"a\"\nopen = [\"tcp/22\"]\nkey = \"" + missingCredential + "\"\n" + knock + "\n"
		if _, diags := Parse("a.toml", []byte(text)); !diags.HasErrors() {
			t.Errorf("%s: it is a key", knock)
		}
	}
	unit, err := os.ReadFile("../../deploy/systemd/nftknockd.service")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(unit), "\n#SetCredential=NAME:"+missingCredential+"\n") {
		t.Error("the unit file has another stand-in")
	}
}
