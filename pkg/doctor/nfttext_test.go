package doctor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanRuleset(t *testing.T) {
	for _, tt := range []struct {
		name     string
		text     string
		want     []mention
		includes []nftInclude
	}{
		{"ok empty", "", nil, nil},
		{"ok other tables", "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n\tchain input { type filter hook input priority 0; }\n}\n", nil, nil},
		{"bad the table", "flush ruleset\n\ntable inet nftknock {\n}\n", []mention{{3, declares}}, nil},
		{"bad empty flags", "table inet nftknock {\n\tflags \n\tset s { type ipv4_addr\n flags timeout\n }\n}\n", []mention{{1, badFlags}}, nil},
		{"bad flags owner", "table inet nftknock { # progname nftknockd\n\tflags owner,persist\n}", []mention{{1, badFlags}}, nil},
		{"ok the flags of a set", "table inet nftknock {\n\tset s {\n flags timeout\n }\n}\n", []mention{{1, declares}}, nil},
		{"ok flags of another table", "table inet nftknock { }\ntable inet x {\n flags dormant\n}", []mention{{1, declares}}, nil},
		{"ok another family", "table ip nftknock { }\ntable nftknock { }", nil, nil},
		{"ok another name", "table inet nftknock2 { }", nil, nil},
		{"ok in a comment", "# table inet nftknock {\n", nil, nil},
		{"ok in a string", "define x = \"table inet nftknock\"\n", nil, nil},
		{"ok a set in another table", "table inet x {\n set nftknock { type ipv4_addr; }\n comment \"table inet nftknock\"\n}", nil, nil},
		{"bad quoted name", "table inet \"nftknock\" {\n}", []mention{{1, declares}}, nil},
		{"bad a command", "add table inet nftknock\nadd rule inet nftknock input accept;delete table inet nftknock", []mention{{1, declares}, {2, declares}, {2, takesAway}}, nil},
		{"bad flush", "flush table inet nftknock", []mention{{1, takesAway}}, nil},
		{"bad over lines", "table \\\n inet \\\n nftknock {", []mention{{1, declares}}, nil},
		{"ok includes", "include \"/etc/nftables.d/*.nft\"\ninclude \"./a.nft\"; include \"b.nft\"", nil, []nftInclude{{1, "/etc/nftables.d/*.nft"}, {2, "./a.nft"}, {2, "b.nft"}}},
		{"ok an include in a table is none of files", "table inet x {\n include \"y\"\n}", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mentions, includes, whole := scanRuleset(tt.text, "nftknock")
			if diff := cmp.Diff(tt.want, mentions, cmp.AllowUnexported(mention{})); diff != "" || !whole {
				t.Error(whole, diff)
			}
			if diff := cmp.Diff(tt.includes, includes, cmp.AllowUnexported(nftInclude{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Lines are those of the text, in order; and a comment changes nothing but them.
func FuzzScanRuleset(f *testing.F) {
	f.Add("table inet nftknock {\n\tflags \n}\ninclude \"a\"; delete table inet nftknock # x\n")
	f.Add("add rule inet \"nftknock\" \\\n input { a }")
	f.Fuzz(func(t *testing.T, text string) {
		mentions, includes, whole := scanRuleset(text, "nftknock")
		last, end := 1, strings.Count(text, "\n")+1
		for _, m := range mentions {
			if m.line < last || m.line > end {
				t.Fatalf("line %d, after %d, of %d", m.line, last, end)
			}
			last = m.line
		}
		for _, i := range includes {
			if i.line < 1 || i.line > end || i.pattern != "" && !strings.Contains(text, i.pattern) {
				t.Fatalf("include %+v of %d lines", i, end)
			}
		}
		moved, _, _ := scanRuleset("# table inet nftknock {\n"+text, "nftknock")
		if whole && len(moved) != len(mentions) {
			t.Errorf("%d mentions, with a comment before them %d", len(mentions), len(moved))
		}
	})
}
