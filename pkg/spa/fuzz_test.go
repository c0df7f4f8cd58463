package spa

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A message that opens is sealed again to the same payload, and Open returns only the
// errors in its doc comment.
func FuzzOpen(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.payload))
	}
	var keys []*Key
	for _, v := range vectors {
		keys = append(keys, newKey(f, v.config))
	}
	keys = append(keys, newKey(f, without(keyed(SHA256))))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, k := range keys {
			m, token, err := k.Open(payload)
			if err != nil {
				if !errors.Is(err, ErrNotForKey) && !errors.Is(err, ErrDigest) && !errors.Is(err, ErrFormat) {
					t.Fatalf("untold error %v", err)
				}
				if token != (Token{}) || !cmp.Equal(m, Message{}, messages) {
					t.Fatal("message or token beside the error")
				}
				continue
			}
			b, err := decodeCipherText(payload[:len(payload)-k.macLen()])
			if err != nil {
				t.Fatal(err)
			}
			text, err := decrypt(k.secret, b)
			if err != nil {
				t.Fatal(err)
			}
			again := k.payload(b[:saltLen], text)
			if string(again) != string(payload) {
				t.Fatalf("sealed again:\n%s, was\n%s", again, payload)
			}
			if _, same, err := k.Open(again); err != nil || same != token {
				t.Fatalf("another token, error %v", err)
			}
			if got := redigested(&m); got != string(text) && oneForm(&m, string(text)) {
				t.Fatalf("text again %q, was %q", got, text)
			}
		}
	})
}

// oneForm reports whether a message has only one text: it names an address, no field of the
// text is padded, and nothing of it was left out because its type opens nothing.
func oneForm(m *Message, text string) bool {
	return m.Address.IsValid() && !strings.Contains(text, "=") && m.checkBody() == nil
}

// redigested returns the plain text of the message, with its digest.
func redigested(m *Message) string {
	text := m.text()
	return string(text) + ":" + b64.EncodeToString(m.Digest.sum(text))
}

// FuzzPlainText fuzzes plain texts, which a sender with the key can choose.
func FuzzPlainText(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.text))
	}
	_, k := vectorNamed(f, "v1")
	f.Fuzz(func(t *testing.T, text []byte) {
		payload := k.payload([]byte("saltsalt"), text)
		m, _, err := k.Open(payload)
		if err != nil {
			return
		}
		if got := redigested(&m); got != string(text) && oneForm(&m, string(text)) {
			t.Fatalf("text again %q, was %q", got, text)
		}
	})
}

// FuzzMessage parses texts without digest, so that the fuzzer need not compute one.
func FuzzMessage(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.undigested())
	}
	for _, text := range []string{
		textOf("1", "2001:db8::1,tcp/22,udp/53"), textOf("1", "::,tcp/22"),
		textOf("4", "192.0.2.1,tcp/22", field("host.example,22"), field("crypt,x"), "30"),
		textOf("0", "0.0.0.0,\té,x", field("x")), textOf("0", "/bin/true"), textOf("2", "tcp/22", "x"),
		textOf("1", "192.0.2.1,tcp/22", "eA=="),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseText(text)
		if err != nil {
			if !cmp.Equal(m, Message{}, messages) {
				t.Fatal("message beside the error")
			}
			return
		}
		again := string(m.text())
		if again != text && oneForm(&m, text) {
			t.Fatalf("text again %q, was %q", again, text)
		}
		same, err := parseText(again)
		if err != nil || !cmp.Equal(m, same, messages) {
			t.Fatalf("parsed again: error %v\n%s", err, cmp.Diff(m, same, messages))
		}
	})
}
