package policy

import (
	"fmt"
	"strings"
	"testing"
)

// An access must be able to have a grant for each service at once.
func TestSharesBoundServices(t *testing.T) {
	for _, tt := range []struct {
		name     string
		accesses int // shared ones
		services int // of the last one
		want     string
	}{
		{"ok one of many services", 1, 1024, ""},
		{"ok as many as it may have", 300, 109, ""},
		{"bad one more", 300, 110, "this access opens 110 services, and among 300 accesses it may have 109 grants, one per service"},
		{"ok few services", 16384, 2, ""},
		{"bad at the most accesses", 16384, 3, "this access opens 3 services, and among 16384 accesses it may have 2 grants"},
	} {
		var text strings.Builder
		for i := range tt.accesses {
			services := 1
			if i == tt.accesses-1 {
				services = tt.services
			}
			fmt.Fprintf(&text, "[[access]]\nname = \"n%d\"\nsource = [\"10.0.%d.%d\"]\nsequence = [\"tcp/50053\", \"udp/6020\", \"tcp/24034\"]\nopen = [", i, i>>8, i&0xff)
			for n := range services {
				fmt.Fprintf(&text, "\"tcp/%d\", ", 10000+2*n)
			}
			text.WriteString("]\n")
		}
		_, diags := Parse("x", []byte(text.String()))
		got := ""
		if err := diags.Err(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: %.300s", tt.name, got)
		}
	}
}
