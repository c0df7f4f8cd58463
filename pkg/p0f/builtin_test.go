package p0f

import (
	"fmt"
	"testing"
)

// Every row of the table must be met by the packets it describes: it is
// neither hidden by a row before it nor impossible.
func TestBuiltinRowsMatchTheirOwnPackets(t *testing.T) {
	db := Builtin()
	for i, e := range db.entries {
		s := e.signature.(Signature)
		for _, v := range variants(s) {
			t.Run(fmt.Sprintf("%v/v%d-%d-%v", s, v.version, v.hops, v.optional), func(t *testing.T) {
				p := decoded(t, generate(t, s, v))
				var f features
				r, confidence := db.choose(&f, p)
				if r == nil {
					t.Fatal("nothing matched")
				}
				if confidence < Family || confidence == Family && !e.generic {
					t.Fatalf("matched %v only", confidence)
				}
				if other := db.entries[r.entry]; int(r.entry) != i {
					if int(r.entry) > i && !e.generic {
						t.Fatalf("matched the later %v", other.signature)
					}
					t.Logf("matched %v (%v)", other.signature, db.Label(r.label))
				}
			})
		}
	}
}

// A row that no packet of its own reaches is of no use.
func TestBuiltinRowsAreReached(t *testing.T) {
	db := Builtin()
	for i, e := range db.entries {
		reached := false
		for _, v := range variants(e.signature.(Signature)) {
			var f features
			p := decoded(t, generate(t, e.signature.(Signature), v))
			if r, _ := db.choose(&f, p); r != nil && int(r.entry) == i {
				reached = true
			}
		}
		if !reached {
			t.Errorf("%v is always hidden by an earlier row", e.signature)
		}
	}
}

// variants are the packets of a signature to try.
func variants(s Signature) []variant {
	versions := []uint8{4, 6}
	if s.Version != 0 {
		versions = []uint8{s.Version}
	}
	var all []variant
	for _, version := range versions {
		for _, hops := range []uint8{0, 10, MaxDistance} {
			all = append(all, variant{version, hops, false}, variant{version, hops, true})
		}
	}
	return all
}

func TestBuiltinLabelsAreTidy(t *testing.T) {
	known := map[string]bool{"linux": true, "windows": true, "apple": true, "bsd": true, "solaris": true, "cisco": true}
	for _, l := range Builtin().Labels() {
		if l.Class == OS && !known[l.Family] {
			t.Errorf("%q is of family %q", l, l.Family)
		}
		if text := l.String(); text == "" || text[0] == ' ' || text[len(text)-1] == ' ' {
			t.Errorf("label %q", text)
		}
	}
}
