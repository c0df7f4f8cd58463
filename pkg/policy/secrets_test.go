package policy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/test/thorough"
)

// marker is a secret that must not be seen: it is text, base64 and, in upper
// case, base32. It begins with letters, as the words do that the TOML parser quotes.
const marker = "qzwjxvqkzbqx2wq7"

// shows reports whether a text holds a part of the marker.
func shows(text string) bool {
	text = strings.ToLower(text)
	for i := range len(marker) - 4 {
		if strings.Contains(text, marker[i:i+5]) {
			return true
		}
	}
	return false
}

// checkSecret verifies that neither the diagnostics of a policy nor what is
// written of it show the marker.
func checkSecret(t *testing.T, text string, p *Policy, diags Diagnostics) {
	t.Helper()
	for _, d := range diags {
		if shows(d.String()) {
			t.Errorf("%q\nshows the secret: %s", text, d)
		}
	}
	if p == nil {
		return
	}
	var b bytes.Buffer
	if err := p.WriteTOML(&b); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteKept(&b); err != nil {
		t.Fatal(err)
	}
	if shows(b.String()) || shows(fmt.Sprintf("%v %+v %#v", p, p, p)) {
		t.Errorf("%q\nis written with the secret", text)
	}
}

// secretAccesses hold the marker wherever a secret can be.
var secretAccesses = []string{
	"[[access]]\nname = \"a\"\nknock = \"encrypted\"\nkey = \"" + marker + "\"\nopen = [\"tcp/22\"]\nrequire_user = [\"mbr\"]\n",
	"[[access]]\nname = \"a\"\nknock = \"encrypted\"\nencoding = \"fwknop-1.9\"\nkey = '" + marker + "'\nopen = [\"tcp/22\"]\n",
	"[[access]]\nname = \"a\"\nknock = \"totp\"\nopen = [\"tcp/22\"]\nkey = \"" + strings.ToUpper(marker) + strings.ToUpper(marker) + "\"\n",
	"[[access]]\nname = \"a\"\nknock = \"spa\"\nkey = \"base64:" + marker + marker + "\"\nhmac_key = \"\"\"" + marker + "\"\"\"\nopen = [\"tcp/22\"]\n",
	"access = [{ name = \"a\", knock = \"spa\", key = \"" + marker + "\", hmac_key = '''\n" + marker + "''', open = [\"tcp/22\"] }]\n",
}

func TestSecretAccessesAreSound(t *testing.T) {
	for _, text := range secretAccesses {
		p, diags := Parse("x", []byte(text))
		if p == nil {
			t.Errorf("%q: %v", text, diags)
		}
		checkSecret(t, text, p, diags)
	}
}

// TestSecretsStayHiddenInAnyMutation breaks good policies everywhere: a piece is
// lost, or something is there that does not belong.
func TestSecretsStayHiddenInAnyMutation(t *testing.T) {
	pieces := []string{"", "\"", "'", "\\", "=", "\n", "[", "]", "{", ",", "#", "5", "x", " ", ".", "\"\"\"", "\\u12", "\x00", "\xff"}
	// Each place and each piece is among them, however few.
	step := thorough.Choose(5, 1)
	for _, text := range secretAccesses {
		for at := range len(text) {
			for i, piece := range pieces {
				for cut := range 2 {
					if (at+i+cut)%step != 0 {
						continue
					}
					broken := text[:at] + piece + text[min(at+cut, len(text)):]
					p, diags := Parse("x", []byte(broken))
					checkSecret(t, broken, p, diags)
				}
			}
		}
	}
}

func TestSecretsStayHiddenInMistakes(t *testing.T) {
	key := `key = "` + marker + "\"\n"
	for _, text := range []string{
		`key = ` + marker,
		`key = "` + marker + `\q"`,
		`key = "` + marker + `\xzz"`,
		`key = """` + marker + `\uzzzz"""`,
		`key = "` + marker,
		`key = "` + marker + `" "` + marker + `"`,
		`key = ["` + marker + `"]`,
		`key = { a = "` + marker + `" }`,
		`key = 0` + marker,
		`key = 2027-01-01T` + marker,
		`key = "base64:` + marker + `_"`,
		key + key,
		key + `key.` + marker + ` = 1`,
		`key_file = "` + marker + `"`,
		`key_file = "/` + marker + `"`,
		`key_file = ` + marker,
		`key_credential = "` + marker + `"`,
		`key_credential = "` + marker + `/"`,
		`hmac_key = 0` + marker,
		`hmac_key = "` + marker + `"`,
		`hmac_key_file = "` + marker + `"`,
		`passphrase = "` + marker + `"`,
		`passphrase = ` + marker,
		`kye = ` + marker,
		`kye = 5` + marker,
		`kye = "` + marker + `"`,
		`psk = '` + marker + "\n'",
		"[access.key]\na = " + marker,
		"[key]\nkey = " + marker,
		"[[acess]]\nkye = 7" + marker,
	} {
		for _, before := range []string{"", access("a", 1), secretAccesses[0][:44], secretAccesses[2][:40]} {
			full := before + text + "\n"
			p, diags := Parse("x", []byte(full))
			if !diags.HasErrors() {
				t.Errorf("no error for %q", full)
			}
			checkSecret(t, full, p, diags)
		}
	}
}

func TestSecretsStayHiddenInFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, content := range []string{
		"", marker, marker + "\n" + marker, "base64:" + marker + "_", marker + "\x00", marker + "\xff",
		"\n" + marker, strings.Repeat(marker, 300), "base64:" + marker, strings.ToUpper(marker), strings.ToUpper(marker) + marker + "1",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{`"encrypted"`, `"encrypted"` + "\nencoding = \"article\"", `"totp"`, `"spa"` + "\nallow_unauthenticated = true"} {
			for _, key := range []string{fmt.Sprintf("key_file = %q", path), `key_credential = "key"`} {
				text := "[[access]]\nname = \"a\"\nopen = [\"tcp/22\"]\nknock = " + kind + "\n" + key + "\n"
				main := filepath.Join(dir, "main.toml")
				if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				p, diags := Load(main)
				checkSecret(t, content+" in "+text, p, diags)
			}
		}
	}
}
