//go:build unix

package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/spa"
)

// answers returns a Keyring with variables and answers to questions.
type answers struct {
	variables, questions map[string]string
	asked                []string
}

func (a *answers) ring() Keyring {
	return Keyring{
		Getenv: func(name string) string { return a.variables[name] },
		Prompt: func(question string, echo bool) ([]byte, error) {
			a.asked = append(a.asked, fmt.Sprint(question, echo))
			if answer, ok := a.questions[question]; ok {
				return []byte(answer), nil
			}
			return nil, ErrNoTerminal
		},
	}
}

func keyFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhereKeysComeFrom(t *testing.T) {
	file, hmacFile := keyFile(t, "from a file\n", 0o600), keyFile(t, "hmac of a file\n", 0o600)
	all := map[string]string{KeyVariable: "from a variable", HMACKeyVariable: "hmac of a variable"}
	questions := map[string]string{
		"Key for 10.3.2.1: ": "from a person\n", "HMAC key for 10.3.2.1: ": "hmac of a person\n",
		"One-time code for 10.3.2.1: ": "0123 4567\n",
	}
	open := sequence(t, "tcp/22, udp/1")
	for _, tt := range []struct {
		name      string
		s         Settings
		variables map[string]string
		key, hmac string
		asked     []string
	}{
		{"ok setting", Settings{Kind: SPA, Key: passphrase(t, "set"), HMACKey: passphrase(t, "hmac set")}, all, "set", "hmac set", nil},
		{"ok files", Settings{Kind: SPA, KeyFile: file, HMACKeyFile: hmacFile}, all, "from a file", "hmac of a file", nil},
		{"ok environment", Settings{Kind: SPA}, all, "from a variable", "hmac of a variable", nil},
		{"ok person", Settings{Kind: SPA}, nil, "from a person", "hmac of a person",
			[]string{"Key for 10.3.2.1: false", "HMAC key for 10.3.2.1: false"}},
		{"ok no HMAC", Settings{Kind: SPA, HMAC: to(spa.Hash(0))}, all, "from a variable", "", nil},
		{"ok encrypted", Settings{Kind: Encrypted}, all, "from a variable", "", nil},
		{"ok one-time secret", Settings{Kind: TOTP}, all, "from a variable", "", nil},
		{"ok one-time code", Settings{Kind: TOTP}, nil, "", "", []string{"One-time code for 10.3.2.1: true"}},
		{"ok shared needs none", Settings{Kind: Shared, Sequence: open}, all, "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			switch tt.s.Kind {
			case Encrypted:
				tt.s.Open = open[:1]
			case SPA:
				tt.s.Open = open
			}
			a := answers{variables: tt.variables, questions: questions}
			got, err := plan(t, tt.s).Secrets(a.ring())
			if err != nil {
				t.Fatal(err)
			}
			if text(got.Key) != tt.key || text(got.HMACKey) != tt.hmac {
				t.Errorf("key %q, HMAC key %q", text(got.Key), text(got.HMACKey))
			}
			if diff := cmp.Diff(tt.asked, a.asked); diff != "" {
				t.Error(diff)
			}
			if asked := tt.s.Kind == TOTP && tt.key == ""; asked != (got.Code != nil) || asked && *got.Code != 1234567 {
				t.Errorf("code %v", got.Code)
			}
			got.Wipe()
			if got.Key != nil && len(got.Key.Bytes()) != 0 {
				t.Error("the key is still there")
			}
		})
	}
}

// text is "" for no key.
func text(k interface{ Text() string }) string {
	if fmt.Sprint(k) == "<nil>" {
		return ""
	}
	return k.Text()
}

func TestKeysThatAreMissingOrInvalid(t *testing.T) {
	open := sequence(t, "tcp/22, udp/1")
	readable := keyFile(t, "secret", 0o644)
	for _, tt := range []struct {
		name      string
		s         Settings
		variables map[string]string
		answer    string // to all questions; "" for no terminal
		want      string
	}{
		{"bad nowhere", Settings{Kind: SPA}, nil, "", "no key for 10.3.2.1"},
		{"bad HMAC key nowhere", Settings{Kind: SPA}, map[string]string{KeyVariable: "x"}, "", "no HMAC key for 10.3.2.1"},
		{"bad code nowhere", Settings{Kind: TOTP}, nil, "", "no one-time code for 10.3.2.1"},
		{"bad file of others", Settings{Kind: SPA, KeyFile: readable}, nil, "",
			"bad mode 0644 of key file " + readable + ": want nothing for group and others: chmod 600 " + readable},
		{"bad missing file", Settings{Kind: SPA, KeyFile: "/none"}, nil, "", "open /none: no such file or directory"},
		{"bad variable", Settings{Kind: SPA}, map[string]string{KeyVariable: "base64:?"}, "",
			"NFTKNOCK_KEY: bad key: what follows base64: does not decode: want the standard alphabet"},
		{"bad empty answer", Settings{Kind: SPA}, nil, "\n", "bad key: empty: want base64:DATA or a passphrase"},
		{"bad code", Settings{Kind: TOTP}, nil, "12345\n", `bad code of 5 digits: want eight, as in "1234 5678"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.s.Kind == SPA {
				tt.s.Open = open
			}
			a := answers{variables: tt.variables}
			if tt.answer != "" {
				a.questions = map[string]string{"Key for 10.3.2.1: ": tt.answer, "One-time code for 10.3.2.1: ": tt.answer}
			}
			got, err := plan(t, tt.s).Secrets(a.ring())
			var e *Error
			if !errors.As(err, &e) || !e.Config || got != nil {
				t.Fatalf("%v, %v", got, err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
