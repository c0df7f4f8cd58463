package keygen

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/client"
	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

// run returns what Run writes.
func run(o Options) (stdout, stderr string, err error) {
	var out, words bytes.Buffer
	err = Run(o, &out, &words)
	return out.String(), words.String(), err
}

func TestKeysOnStandardOutput(t *testing.T) {
	for _, tt := range []struct {
		name       string
		asked, got int
	}{
		{"ok default", 0, 256}, {"ok 256", 256, 256}, {"ok 512", 512, 512},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(map[string]bool)
			for range 2 {
				line, words, err := run(Options{Side: Client, Bits: tt.asked})
				if err != nil {
					t.Fatal(err)
				}
				key, err := secret.Parse([]byte(line))
				if err != nil || key.Passphrase() || len(key.Bytes()) != tt.got/8 {
					t.Errorf("%v, %v", key, err)
				}
				if strings.Contains(words, strings.TrimSpace(line)) {
					t.Error("the key is on standard error, too")
				}
				seen[line] = true
			}
			if len(seen) != 2 {
				t.Error("the same key twice")
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	for _, alg := range []totp.Algorithm{totp.SHA1, totp.SHA256} {
		path := filepath.Join(t.TempDir(), "secret")
		uri, _, err := run(Options{TOTP: true, Algorithm: alg, Issuer: "srv", Account: "mbr", Output: path})
		if err != nil {
			t.Fatal(err)
		}
		line, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := totp.ParseSecret(line, alg)
		if err != nil || s.Weak() || s.URI("srv", "mbr")+"\n" != uri {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// What the person is told to paste is a policy's access and a client's host.
func TestWhatIsToBePasted(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want client.Kind
	}{
		{"ok encrypted", Options{}, client.Encrypted},
		{"ok SPA", Options{HMAC: true}, client.SPA},
		{"ok one-time", Options{TOTP: true, Algorithm: totp.SHA256, Issuer: "srv", Account: "mbr"}, client.TOTP},
	} {
		for _, side := range []Side{Server, Client} {
			t.Run(tt.name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "it's a key")
				o := tt.o
				o.Side, o.Output = side, path
				_, words, err := run(o)
				if err != nil {
					t.Fatal(err)
				}
				_, words, _ = strings.Cut(words, "#")
				server, hosts, _ := strings.Cut("#"+words, "\n\n")
				var policy struct {
					Access []struct {
						Name, Knock, Algorithm string
						KeyFile                string   `toml:"key_file"`
						HMACKeyFile            string   `toml:"hmac_key_file"`
						Open                   []string `toml:"open"`
					}
				}
				meta, err := toml.Decode(server, &policy)
				if err != nil || len(meta.Undecoded()) > 0 || len(policy.Access) != 1 || policy.Access[0].Knock != string(tt.want) {
					t.Errorf("%v, %v, %v of\n%s", policy, err, meta.Undecoded(), server)
				}
				list, err := client.ParseHosts("/hosts.toml", []byte(hosts))
				if err != nil || len(list) != 1 || list[0].Settings.Kind != tt.want {
					t.Fatalf("%v, %v of\n%s", list, err, hosts)
				}
				file := policy.Access[0].KeyFile
				if side == Client {
					file = list[0].Settings.KeyFile
				}
				if file != path {
					t.Errorf("key file %s, want %s", file, path)
				}
			})
		}
	}
}

func TestFilesAreNewAndPrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if _, _, err := run(Options{HMAC: true, Output: path}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".hmac"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %o", name, mode)
		}
		if _, err := secret.ReadFile(name); err != nil {
			t.Error(err)
		}
	}
	before, _ := os.ReadFile(path)
	if _, _, err := run(Options{Output: path}); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("over a file: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	// The second of two cannot be written: neither is.
	second := filepath.Join(dir, "second")
	if err := os.WriteFile(second+".hmac", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(Options{HMAC: true, Output: second}); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(second); err == nil {
		t.Error("half of two keys is left")
	}
}

func TestWhatCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for name, o := range map[string]Options{
		"bad size":                  {Bits: 128, Output: path},
		"bad HMAC of one-time code": {HMAC: true, TOTP: true, Issuer: "srv", Account: "mbr", Output: path},
		"bad two keys for one line": {HMAC: true},
	} {
		if out, _, err := run(o); err == nil || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: there is a file", name)
		}
	}
}

func TestStandardOutputThatOthersRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true, 0o622: false} {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Chmod(mode); err != nil {
			t.Fatal(err)
		}
		if got, ok := readable(f); ok != want || ok && got != mode {
			t.Errorf("mode %o: %o, %v", mode, got, ok)
		}
	}
	if _, ok := readable(new(bytes.Buffer)); ok {
		t.Error("a buffer is no file")
	}
}
