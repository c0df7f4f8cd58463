package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/pkg/policy"
)

func TestCheckMissesNoKeys(t *testing.T) {
	const key = "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	database := filepath.Join(t.TempDir(), "bad.fp")
	if err := os.WriteFile(database, []byte("[tcp:request]\nno signature\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		textOnly   bool
		want       string // in the one diagnostic, empty for none
	}{
		{"ok keys that were not read", keyed("/nowhere") + oneTime("/nowhere"), false, ""},
		{"ok nothing enabled", "", false, ""},
		{"ok good key", strings.Replace(keyed("/nowhere"), "key_file = \"/nowhere\"", "key = \""+key+"\"", 1), false, ""},
		{"warn of an unknown system", keyed("/nowhere") + "require_os = \"plan9\"\n", false, "matches none of the"},
		{"bad database", "fingerprint.databases = [\"" + database + "\"]\n" + keyed("/nowhere"), false, "bad.fp"},
		{"ok database that is not opened", "fingerprint.databases = [\"" + database + "\"]\n" + keyed("/nowhere") + "require_os = \"plan9\"\n", true, ""},
		{"ok database that is not there", "fingerprint.databases = [\"/nowhere\"]\n" + keyed("/nowhere"), true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, diags := policy.Parse("policy.toml", []byte(tt.text))
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			got := Check("policy.toml", p, tt.textOnly)
			if (len(got) == 1) != (tt.want != "") || !strings.Contains(got.Error(), tt.want) {
				t.Errorf("%v, want %q", got, tt.want)
			}
			// What differs from New is only what was not read.
			if _, err := New(p); err != nil && !errors.Is(err, errNoKey) && !errors.Is(err, ErrNothing) && !tt.textOnly && !got.HasErrors() {
				t.Errorf("New refuses it: %v", err)
			}
		})
	}
}

func keyed(file string) string {
	return "[[access]]\nname = \"ssh\"\nknock = \"encrypted\"\nopen = [\"tcp/22\"]\nkey_file = \"" + file + "\"\n"
}

func oneTime(file string) string {
	return "[[access]]\nname = \"phone\"\nknock = \"totp\"\nopen = [\"tcp/22\"]\nkey_file = \"" + file + "\"\n"
}

// That there is nothing to do is said once: the warning about it is for those who only check.
func TestNothingToDoIsSaidOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.toml")
	if err := os.WriteFile(path, []byte("[[access]]\nname = \"ssh\"\nenabled = false\nsequence = [\"tcp/40551\", \"udp/6120\", \"tcp/24133\"]\nopen = [\"tcp/22\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, diags := Load(path); len(diags) != 1 || !strings.Contains(diags.Error(), "error: "+ErrNothing.Error()) {
		t.Errorf("diagnostics:\n%v", diags)
	}
}
