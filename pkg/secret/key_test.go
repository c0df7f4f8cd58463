package secret

import (
	"bytes"
	"strings"
	"testing"
)

// canary is part of every text and key that must not appear in output.
const canary = "xyzzy-plugh"

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		passphrase       bool
	}{
		{"ok passphrase", "correct horse", "correct horse", true},
		{"ok blanks around a passphrase", " \tcorrect horse \r\n", "correct horse", true},
		{"ok letters beyond ASCII", "Füße", "Füße", true},
		{"ok as long as can be", strings.Repeat("a", maxText), strings.Repeat("a", maxText), true},
		{"ok raw bytes", "base64:AAEC/w==", "\x00\x01\x02\xff", false},
		{"ok raw bytes without padding", "base64:AAEC/w\n", "\x00\x01\x02\xff", false},
		{"ok raw bytes that need no padding", "base64:AAEC", "\x00\x01\x02", false},
		{"ok other case is a passphrase", "Base64:AAEC", "Base64:AAEC", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(k.Bytes()); got != c.want || k.Passphrase() != c.passphrase {
				t.Errorf("got %d bytes, passphrase %t; want %d, %t", len(got), k.Passphrase(), len(c.want), c.passphrase)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"bad empty", ""},
		{"bad blanks alone", " \t\r\n"},
		{"bad too long", canary + strings.Repeat("a", maxText)},
		{"bad newline inside", canary + "\nx"},
		{"bad NUL", canary + "\x00x"},
		{"bad DEL", canary + "\x7fx"},
		{"bad C1 control", canary + "\u0085x"},
		{"bad not UTF-8", canary + "\xffx"},
		{"bad no bytes", "base64:"},
		{"bad padding alone", "base64:="},
		{"bad alphabet", "base64:" + canary + "_"},
		{"bad blank inside", "base64:AAEC AAEC"},
		{"bad padding short", "base64:AAEC/w="},
		{"bad padding long", "base64:AAEC/w==="},
		{"bad padding without need", "base64:AAEC===="},
		{"bad spare bits", "base64:AAEC/x=="},
		{"bad spare bits without padding", "base64:AAEC/x"},
		{"bad one character over", "base64:AAECA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := Parse([]byte(c.text))
			if err == nil || k != nil {
				t.Fatalf("got a key of %d bytes, error %v", len(k.Bytes()), err)
			}
			if s := err.Error(); strings.Contains(s, "xyzzy") || strings.Contains(s, "AAEC") {
				t.Errorf("the error shows the text: %v", err)
			}
		})
	}
}

func TestParseCopies(t *testing.T) {
	text := []byte("correct horse")
	k, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	if string(k.Bytes()) != "correct horse" {
		t.Error("the key changed with the text it was parsed from")
	}
}

func TestNewCopies(t *testing.T) {
	raw := []byte{1, 2, 3}
	k := New(raw)
	clear(raw)
	if !bytes.Equal(k.Bytes(), []byte{1, 2, 3}) || k.Passphrase() {
		t.Error("the key is not the copy of raw bytes")
	}
	if got, want := k.Text(), "base64:AQID"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGenerate(t *testing.T) {
	for _, bits := range []int{256, 512} {
		a, err := Generate(bits)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Generate(bits)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Bytes())*8 != bits || a.Passphrase() || a.Equal(b) {
			t.Errorf("%d bits: got %d bytes, passphrase %t, twice the same %t",
				bits, len(a.Bytes()), a.Passphrase(), a.Equal(b))
		}
	}
	for _, bits := range []int{-8, 0, 128, 255, 1024} {
		if _, err := Generate(bits); err == nil {
			t.Errorf("%d bits: want an error", bits)
		}
	}
}

func TestEqual(t *testing.T) {
	phrase, err := Parse([]byte("abc"))
	if err != nil {
		t.Fatal(err)
	}
	raw := New([]byte("abc"))
	for _, c := range []struct {
		name string
		a, b *Key
		want bool
	}{
		{"same", raw, New([]byte("abc")), true},
		{"itself", phrase, phrase, true},
		{"passphrase and raw bytes", phrase, raw, false},
		{"another byte", raw, New([]byte("abd")), false},
		{"another length", raw, New([]byte("abcd")), false},
		{"nil", raw, nil, false},
		{"both nil", nil, nil, true},
	} {
		if c.a.Equal(c.b) != c.want || c.b.Equal(c.a) != c.want {
			t.Errorf("%s: want %t both ways", c.name, c.want)
		}
	}
}

func TestWipe(t *testing.T) {
	k := New([]byte{1, 2, 3})
	b := k.Bytes()
	k.Wipe()
	if !bytes.Equal(b, make([]byte, 3)) || len(k.Bytes()) != 0 {
		t.Error("bytes are left")
	}
	k.Wipe()
	(*Key)(nil).Wipe()
}

// FuzzParse: the written form of a parsed key parses to the same key, and on error the
// key is nil.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"correct horse", " Füße\r\n", "base64:AAEC/w==", "base64:AAEC/w", "base64:", "base64:=", "a\x00", "\xff", "\ufeffx"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := Parse(text)
		if err != nil {
			if k != nil {
				t.Error("a key with an error")
			}
			return
		}
		again, err := Parse([]byte(k.Text()))
		if err != nil {
			t.Fatal(err)
		}
		if !again.Equal(k) {
			t.Error("written and parsed again it is another key")
		}
	})
}
