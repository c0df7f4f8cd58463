package policy

import (
	"slices"
	"strings"
	"testing"
)

// planted is a secret of every alphabet that a key is written in. No part of it is a
// word of the language or of a message.
const planted = "Zq7xWv3kJh9gPb5mTd2c"

// showsPlanted reports whether a text holds six or more bytes of the planted secret
// in a row, in any case.
func showsPlanted(text string) bool {
	const least = 6
	text = strings.ToLower(text)
	secret := strings.ToLower(planted)
	for i := 0; i+least <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+least]) {
			return true
		}
	}
	return false
}

// secretValues are the ways in which somebody may have written a key, or tried to.
var secretValues = []string{
	`"` + planted + `"`, `'` + planted + `'`, `"""` + planted + `"""`, `'''` + "\n" + planted + `'''`,
	planted, `"base64:` + planted + `"`, `base64:` + planted + `=`, `["` + planted + `"]`, `{ key = "` + planted + `" }`,
	`"` + planted[:10] + "\n" + planted[10:] + `"`, `"` + planted[:10] + `\q` + planted[10:] + `"`, `0x` + planted, `2027-01-31T` + planted,
}

// secretKeys are the keys behind which a secret may stand, some of them misspelt.
var secretKeys = []string{"key", "hmac_key", "kye", "hmac-key", "passphrase", "key.file", "access.key", `"key"`, planted, planted[:8]}

// strays are what is lost or slips in where somebody edits.
var strays = []string{
	"", "\"", "'", "\\", "=", "\n", "[", "]", "{", "}", ",", "#", "5", " ", ".", "\"\"\"", "'''", "\\u12", "\r", "\x01", "\xff", "[[access]]\n", "key = ", "\"\n\"",
}

// writeBroken makes a policy with the planted secret out of bytes: which key, how
// written, in an access of which kind, and then what is lost or added where.
func writeBroken(b []byte) string {
	next := func(n int) int {
		if len(b) == 0 {
			return 0
		}
		v := int(b[0])
		b = b[1:]
		return v % n
	}
	text := []string{
		"[[access]]\nname = \"a\"\nknock = \"encrypted\"\nopen = [\"tcp/22\"]\n",
		"[nflog]\ngroup = 5\n[[access]]\nname = \"a\"\nknock = \"spa\"\nopen = [\"tcp/22\"]\n",
		"[[access]]\nname = \"a\"\nknock = \"totp\"\nopen = [\"tcp/22\"] # phone\n",
		"",
	}[next(4)]
	text += secretKeys[next(len(secretKeys))] + " = " + secretValues[next(len(secretValues))] + "\n"
	if next(2) == 1 {
		text += "timeout = \"30s\"\n[[access]]\nname = \"b\"\nsequence = [\"tcp/5000\", \"udp/3000\", \"tcp/9000\"]\nopen = [\"tcp/23\"]\n"
	}
	if next(4) == 3 {
		text = "access = [{ name = \"a\", knock = \"spa\", key = " + secretValues[next(len(secretValues))] + ", open = [\"tcp/22\"] }]\n"
	}
	for len(b) > 2 {
		at := (next(256)<<8 + next(256)) % (len(text) + 1)
		lost := next(3)
		text = text[:at] + strays[next(len(strays))] + text[min(at+lost, len(text)):]
	}
	return text
}

// inPlainSight reports whether the secret stands as the value of a key that is none
// of a secret's, or within an array or table of such a key: it is then no secret.
func inPlainSight(v any, key string) bool {
	switch v := v.(type) {
	case string:
		return showsPlanted(v) && slices.Contains(shownKeys, key)
	case []any:
		for _, item := range v {
			if inPlainSight(item, key) {
				return true
			}
		}
	case []map[string]any:
		for _, item := range v {
			if inPlainSight(item, key) {
				return true
			}
		}
	case map[string]any:
		for name, item := range v {
			if inPlainSight(item, name) {
				return true
			}
		}
	}
	return false
}

// shownKeys are the keys whose values diagnostics show.
var shownKeys = []string{"name", "knock", "open", "source", "sequence", "timeout", "encoding", "require_user", "require_os"}

// FuzzSecrets: however a policy with a secret is broken, no diagnostic shows the
// secret or a part of it, and neither does what is written of the policy.
func FuzzSecrets(f *testing.F) {
	for i := range byte(len(secretValues)) {
		for j := range byte(len(secretKeys)) {
			f.Add([]byte{i, j, i, 0, 0})
		}
		f.Add([]byte{0, 0, i, 1, 3, i, 0, 60, 1, 1, 0, 90, 2, 5})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64 {
			return
		}
		text := writeBroken(b)
		p, diags := Parse("x", []byte(text))
		values, err := decode(text)
		if err == nil && inPlainSight(values, "") {
			return
		}
		for _, d := range diags {
			if showsPlanted(d.String()) {
				t.Errorf("%q\nshows the secret: %s", text, d)
			}
		}
		if p == nil {
			return
		}
		var w strings.Builder
		if err := p.WriteTOML(&w); err != nil {
			t.Fatal(err)
		}
		if err := p.WriteKept(&w); err != nil {
			t.Fatal(err)
		}
		if showsPlanted(w.String()) {
			t.Errorf("%q\nis written with the secret:\n%s", text, w.String())
		}
	})
}

// Every way to write a secret behind every key, cut off and broken at every place.
func TestSecretsStayHiddenWhereverTheTextBreaks(t *testing.T) {
	for _, key := range secretKeys {
		for _, value := range secretValues {
			text := "[[access]]\nname = \"a\"\nknock = \"spa\"\n" + key + " = " + value + "\nopen = [\"tcp/22\"]\n"
			for at := range len(text) {
				for _, broken := range []string{text[:at], text[:at] + "\n" + text[at:], text[:at] + "\"" + text[at:], text[:at] + text[at+1:]} {
					_, diags := Parse("x", []byte(broken))
					for _, d := range diags {
						if showsPlanted(d.String()) {
							t.Fatalf("%q\nshows the secret: %s", broken, d)
						}
					}
				}
			}
		}
	}
}
