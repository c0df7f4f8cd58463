package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "xyzzy"

type key struct {
	Value
	text string
}

func TestEveryWayToPrint(t *testing.T) {
	k := key{text: canary}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% x", "%d", "%20v", "%z"} {
		for _, v := range []any{k, &k} {
			if got := fmt.Sprintf(verb, v); got != Text {
				t.Errorf("%s of %T: got %q", verb, v, got)
			}
		}
	}
	if got := fmt.Sprint((*key)(nil)); got != "<nil>" {
		t.Errorf("nil: got %q", got)
	}
	if got := k.String(); got != Text {
		t.Errorf("String: got %q", got)
	}
	b, err := json.Marshal(map[string]any{"a": k, "b": &k})
	if want := `{"a":"[secret]","b":"[secret]"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("made", "a", k, "b", &k)
	if strings.Count(out.String(), Text) != 2 || strings.Contains(out.String(), canary) {
		t.Errorf("got %s", &out)
	}
}
