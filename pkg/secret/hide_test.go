package secret

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/redact"
)

// traces are the forms in which the canary could appear in output.
func traces() []string {
	var decimal []string
	for _, b := range []byte(canary) {
		decimal = append(decimal, fmt.Sprint(b))
	}
	return []string{
		canary,
		hex.EncodeToString([]byte(canary)),
		strings.Join(decimal, " "),
		strings.Join(decimal, ","),
		strings.Join(decimal, ", "),
		New([]byte(canary)).Text()[len(prefix):],
	}
}

func checkHidden(t *testing.T, how, got string) {
	t.Helper()
	low := strings.ToLower(got)
	for _, s := range traces() {
		if strings.Contains(low, strings.ToLower(s)) {
			t.Errorf("%s shows the key as %s", how, s)
		}
	}
}

func TestFormat(t *testing.T) {
	k := New([]byte(canary))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%20v", "%-3s", "%z"} {
		for _, v := range []any{k, *k} {
			if got := fmt.Sprintf(verb, v); got != redact.Text {
				t.Errorf("%s of %T: got %q", verb, v, got)
			}
		}
	}
	if got := k.String(); got != redact.Text {
		t.Errorf("String: got %q", got)
	}
	if got := fmt.Sprintf("%v", (*Key)(nil)); got != "<nil>" {
		t.Errorf("nil: got %q", got)
	}
}

// exported and unexported are structs with a Key.
type exported struct {
	Pointer *Key
	Value   Key
	List    []*Key
	Map     map[string]Key
}

type unexported struct {
	pointer *Key
	value   Key
	list    []Key
	any     any
}

func TestFormatNested(t *testing.T) {
	k := New([]byte(canary))
	e := exported{k, *k, []*Key{k}, map[string]Key{"a": *k}}
	u := unexported{k, *k, []Key{*k}, k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o"} {
		for _, v := range []any{e, &e, u, &u} {
			checkHidden(t, fmt.Sprintf("%s of %T", verb, v), fmt.Sprintf(verb, v))
		}
	}
	want := "{Pointer:[secret] Value:[secret] List:[[secret]] Map:map[a:[secret]]}"
	if got := fmt.Sprintf("%+v", e); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDiff(t *testing.T) {
	a := []*Key{New([]byte(canary))}
	b := []*Key{New([]byte(canary + "!"))}
	got := cmp.Diff(a, b)
	if got == "" {
		t.Error("no difference")
	}
	checkHidden(t, "a diff", got)
}

func TestLog(t *testing.T) {
	k := New([]byte(canary))
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		out.Reset()
		slog.New(h).Info("made", "pointer", k, "value", *k, "nested", unexported{k, *k, []Key{*k}, k}, "list", []*Key{k})
		if n := strings.Count(out.String(), redact.Text); n < 2 {
			t.Errorf("%T: got %s", h, out.String())
		}
		checkHidden(t, fmt.Sprintf("%T", h), out.String())
	}
}

func TestMarshal(t *testing.T) {
	k := New([]byte(canary))
	type doc struct {
		Pointer *Key
		Value   Key
	}
	v := doc{k, *k}
	for _, c := range []struct {
		name, want string
		marshal    func(any) ([]byte, error)
	}{
		{"json", `{"Pointer":"[secret]","Value":"[secret]"}`, json.Marshal},
		{"xml", "<doc><Pointer>[secret]</Pointer><Value>[secret]</Value></doc>", xml.Marshal},
		{"toml", "Pointer = \"[secret]\"\nValue = \"[secret]\"\n", toml.Marshal},
	} {
		got, err := c.marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
