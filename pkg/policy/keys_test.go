package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

const (
	goodKey    = "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	otherKey   = "base64:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	goodSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// keyed is an access of each kind with a key, whose place is in NAME_file or
// NAME_credential.
func keyed(form, place, hmacPlace string) string {
	return fmt.Sprintf(`[[access]]
name = "siv"
knock = "encrypted"
key%[1]s = %[2]q
open = ["tcp/22"]
[[access]]
name = "spa"
knock = "spa"
key%[1]s = %[2]q
hmac_key%[1]s = %[3]q
open = ["tcp/22"]
`, form, place, hmacPlace)
}

// oneTime is a one-time access with the secret of a file.
func oneTime(path string) string {
	return fmt.Sprintf("[[access]]\nname = \"totp\"\nknock = \"totp\"\nalgorithm = \"sha256\"\nkey_file = %q\nopen = [\"tcp/22\"]\n", path)
}

// writeKey writes a file and gives its path. Its parameters: a test varies all but dir.
func writeKey(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustKey(t *testing.T, text string) *secret.Key {
	t.Helper()
	k, err := secret.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// checkKeys verifies the keys of the accesses of keyed.
func checkKeys(t *testing.T, p *Policy) {
	t.Helper()
	key, hmac := mustKey(t, goodKey), mustKey(t, otherKey)
	siv, spa := p.Accesses[0], p.Accesses[1]
	if !siv.Key.Equal(key) || siv.HMACKey != nil || siv.Secret != nil {
		t.Error("the encrypted knock has not the key alone")
	}
	if !spa.Key.Equal(key) || !spa.HMACKey.Equal(hmac) || spa.Secret != nil {
		t.Error("SPA has not the two keys")
	}
}

func TestLoadReadsKeyFiles(t *testing.T) {
	keys := t.TempDir()
	key := writeKey(t, keys, "key", goodKey+"\n", 0o400)
	hmac := writeKey(t, keys, "hmac", otherKey, 0o600)
	phone := writeKey(t, keys, "phone", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n", 0o600)
	dir := tree(t, map[string]string{"main.toml": keyed("_file", key, hmac), "conf.d/totp.toml": oneTime(phone)})
	p, diags := Load(filepath.Join(dir, "main.toml"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	checkKeys(t, p)
	secret, err := totp.ParseSecret([]byte(goodSecret), totp.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Accesses[2]; !a.Secret.Equal(secret) || a.Key != nil || a.KeyFile != phone {
		t.Error("the one-time knock has not the secret alone")
	}
}

func TestLoadReadsCredentials(t *testing.T) {
	keys := t.TempDir()
	writeKey(t, keys, "key", "\ufeff"+goodKey+"\r\n", 0o440) // as it looks with an access list
	writeKey(t, keys, "hmac", otherKey, 0o400)
	t.Setenv("CREDENTIALS_DIRECTORY", keys)
	dir := tree(t, map[string]string{"main.toml": keyed("_credential", "key", "hmac")})
	p, diags := Load(filepath.Join(dir, "main.toml"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	checkKeys(t, p)
	if a := p.Accesses[1]; a.KeyCredential != "key" || a.HMACKeyCredential != "hmac" {
		t.Errorf("credentials %q and %q", a.KeyCredential, a.HMACKeyCredential)
	}
}

func TestLoadRefusesBadKeys(t *testing.T) {
	keys := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", keys)
	if err := syscall.Mkfifo(filepath.Join(keys, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := writeKey(t, keys, "good", goodKey, 0o600)
	for name, path := range map[string]string{
		"mode":    writeKey(t, keys, "mode", goodKey, 0o644),
		"empty":   writeKey(t, keys, "empty", "\n", 0o600),
		"lines":   writeKey(t, keys, "lines", goodKey+"\n"+goodKey+"\n", 0o600),
		"short":   writeKey(t, keys, "short", "base64:AAEC", 0o600),
		"large":   writeKey(t, keys, "large", strings.Repeat("x", 5000), 0o600),
		"fifo":    filepath.Join(keys, "fifo"),
		"missing": filepath.Join(keys, "missing"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{keyed("_file", good, path), keyed("_credential", "good", name)} {
				dir := tree(t, map[string]string{"main.toml": text})
				p, diags := Load(filepath.Join(dir, "main.toml"))
				t.Log(strings.Join(lines(dir, diags), "\n"))
				switch form, _, _ := strings.Cut(strings.Split(text, "\n")[9], " "); {
				case name == "short", name == "mode" && form == "hmac_key_credential":
					if diags.HasErrors() {
						t.Errorf("%s: %v", form, diags)
					}
				case p != nil || len(diags) != 1 || diags[0].Line != 10 || diags[0].Column != len(form)+4:
					t.Errorf("%s: %v", form, diags)
				}
			}
		})
	}
}

func TestLoadSaysWhatIsWrongWithAKey(t *testing.T) {
	keys := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", keys)
	bad := map[string]string{
		"mode":  writeKey(t, keys, "mode", goodKey, 0o644),
		"lines": writeKey(t, keys, "lines", "a\nb\n", 0o600),
		"short": writeKey(t, keys, "short", "base64:AAEC", 0o600),
		"none":  filepath.Join(keys, "none"),
	}
	for _, tt := range []struct{ kind, key, want string }{
		{"encrypted", "key_file = " + bad["none"], `main.toml:5:12: error: key_file: cannot read it: no such file or directory; want a file that holds the key, of mode 0600`},
		{"encrypted", "key_file = " + bad["mode"], `main.toml:5:12: error: key_file: bad mode 0644 of key file KEYS/mode; want nothing for group and others: chmod 600 KEYS/mode`},
		{"encrypted", "key_file = " + bad["lines"], `main.toml:5:12: error: key_file: bad key file KEYS/lines; want one line`},
		{"encrypted", "key_file = " + bad["short"], `main.toml:5:12: error: bad key of 3 bytes; want 32 or 64: "nftknockd keygen" makes such a key`},
		{"totp", "key_file = " + bad["short"], `main.toml:5:12: error: bad secret: character 7; want base32, the letters A to Z and the digits 2 to 7`},
		{"encrypted", "key_credential = none", `main.toml:5:18: error: key_credential: cannot read it: no such file or directory; want LoadCredential=NAME:PATH in the unit file of the service`},
		{"encrypted", "key_credential = lines", `main.toml:5:18: error: bad key: holds a control character; want raw bytes written as base64:DATA`},
	} {
		name, value, _ := strings.Cut(tt.key, " = ")
		text := fmt.Sprintf("[[access]]\nname = \"a\"\nknock = %q\nopen = [\"tcp/22\"]\n%s = %q\n", tt.kind, name, value)
		dir := tree(t, map[string]string{"main.toml": text})
		p, diags := Load(filepath.Join(dir, "main.toml"))
		got := strings.ReplaceAll(strings.Join(lines(dir, diags), "\n"), keys, "KEYS")
		if diff := cmp.Diff(tt.want, got); diff != "" || p != nil {
			t.Errorf("%s %s (-want +got):\n%s", tt.kind, tt.key, diff)
		}
	}
}

// asNobody calls f where it may not read what is ours alone.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			const nobody = 65534
			if err := unix.Setfsuid(nobody); err != nil {
				panic(err)
			}
		}
		f()
	}()
	<-done
}

func TestCheckIsLenientWithWhatItMayNotSee(t *testing.T) {
	keys := t.TempDir()
	key := writeKey(t, keys, "key", goodKey, 0o600)
	if os.Geteuid() != 0 {
		key = writeKey(t, keys, "key", goodKey, 0)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := tree(t, map[string]string{
		"main.toml":      keyed("_file", key, key),
		"conf.d/b.toml":  strings.ReplaceAll(keyed("_credential", "key", "key"), `name = "`, `name = "c-`),
		"conf.d/c.toml":  oneTime(key),
		"conf.d/no.toml": strings.Replace(oneTime("/nowhere"), "totp", "off\"\nenabled = false #", 1),
	})
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the testing package's own
		t.Fatal(err)
	}
	path := filepath.Join(dir, "main.toml")
	file := func(at string) string {
		return at + `: cannot be read by this user; the key was not checked; the daemon checks it when it starts`
	}
	credential := func(at string) string {
		return at + `: only the daemon has the credentials of its service; the key was not checked; the daemon checks it when it starts`
	}
	want := []string{
		file("main.toml:4:12: warning: key_file"),
		file("main.toml:9:12: warning: key_file"),
		file("main.toml:10:17: warning: hmac_key_file"),
		credential("conf.d/b.toml:4:18: warning: key_credential"),
		credential("conf.d/b.toml:9:18: warning: key_credential"),
		credential("conf.d/b.toml:10:23: warning: hmac_key_credential"),
		file("conf.d/c.toml:5:12: warning: key_file"),
	}
	asNobody(func() {
		p, diags := Check(path, Review{})
		if diff := cmp.Diff(want, lines(dir, diags)); diff != "" {
			t.Errorf("Check (-want +got):\n%s", diff)
		}
		if p == nil || len(p.Accesses) != 6 || p.Accesses[0].Key != nil {
			t.Error("Check gave no policy without keys")
		}
		if p, again := Inspect(path); p == nil || cmp.Diff(diags, again) != "" {
			t.Errorf("Inspect: %v", again)
		}
		p, diags = Load(path)
		if p != nil || len(diags) != len(want) {
			t.Errorf("Load: %v", diags)
		}
		for _, d := range diags {
			if d.Severity != SeverityError {
				t.Errorf("Load: %v", d)
			}
		}
		t.Log(strings.Join(lines(dir, diags), "\n"))
	})
	if _, diags := Check(path, Review{}); strings.Contains(diags.Error(), "main.toml:9") && os.Geteuid() == 0 {
		t.Errorf("Check does not see what it may: %v", diags)
	}
}

// What is wrong with a key is an error for Check too.
func TestCheckRefusesBadKeys(t *testing.T) {
	keys := t.TempDir()
	for _, path := range []string{
		writeKey(t, keys, "mode", goodKey, 0o644),
		writeKey(t, keys, "short", "base64:AAEC", 0o600),
		filepath.Join(keys, "missing"),
	} {
		dir := tree(t, map[string]string{"main.toml": keyed("_file", path, path)})
		if p, diags := Check(filepath.Join(dir, "main.toml"), Review{}); p != nil || !diags.HasErrors() {
			t.Errorf("%s: %v", path, diags)
		}
	}
}

func TestParseOpensNoKey(t *testing.T) {
	p, diags := Parse("x", []byte(keyed("_file", "/nowhere", "/nowhere")+oneTime("/nowhere")))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	for _, a := range p.Accesses {
		if a.Key != nil || a.HMACKey != nil || a.Secret != nil {
			t.Errorf("%s has a key", a.Name)
		}
	}
}

func TestWrittenKeysAreHidden(t *testing.T) {
	p, _ := Parse("x", []byte(keyed("", goodKey, otherKey)))
	var b strings.Builder
	if err := p.WriteTOML(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"# key: set in the policy, not shown\n", "# hmac_key: set in the policy, not shown\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line %q in\n%s", line, &b)
		}
	}
	checkKeys(t, p)
}
