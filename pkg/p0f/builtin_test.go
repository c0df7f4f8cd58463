package p0f

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// declared lists pairs of rows of which the second matches some packets of the first,
// because it precedes the first or is specific. Any other such pair is a mistake in
// the table.
var declared = map[[2]string]string{
	{"4:32:0:*:mss*44,0:mss,nop,nop,sok:df,id+:0", "4:64:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?:0"}: "a TTL of up to 32 may have been 64",
	{"4:64:0:1460:8192,0:mss,nop,nop,sok:df,id+:0", "4:32:0:*:8192,0:mss,nop,nop,sok:df,id+:0"}:         "a TTL of up to 32 may have been 64",

	{"4:64:0:*:*,*:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0", "4:32:0:*:*,*:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0"}: "one label",

	{"*:64:0:*:65535,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0", "4:64:0:*:65535,9:mss,nop,ws,sok,ts:df,id+,ecn?:0"}: "ESXi's scale is FreeBSD's tuned",
}

// The packets that a row describes are matched by that row and no other, except for
// pairs in declared.
func TestBuiltinRowsMatchTheirOwnPackets(t *testing.T) {
	db := Builtin()
	met := make(map[[2]string]bool)
	for i, e := range db.entries {
		s := e.signature.(Signature)
		least := Family
		if e.generic && db.labels[e.label].Class == Stack {
			least = Low
		}
		for _, v := range variants(s) {
			var f features
			r, confidence := db.choose(&f, decoded(t, generate(t, s, v)))
			switch {
			case r == nil || confidence < least:
				t.Errorf("%v, packet %+v: matched with confidence %v", s, v, confidence)
			case int(r.entry) != i:
				pair := [2]string{s.String(), db.entries[r.entry].signature.String()}
				if declared[pair] == "" && !met[pair] {
					t.Errorf("%s, packet %+v: answered by %s (%v)", pair[0], v, pair[1], db.Label(r.label))
				}
				met[pair] = true
			}
		}
	}
	for pair := range declared {
		if !met[pair] {
			t.Errorf("%v are declared to meet, and do not", pair)
		}
	}
}

// Each row names its source, and the year.
func TestBuiltinRowsHaveSources(t *testing.T) {
	year := regexp.MustCompile(`\b(199[0-9]|20[0-2][0-9])\b`)
	for i, line := range strings.Split(builtinTable, "\n") {
		if !strings.HasPrefix(line, "sig ") {
			continue
		}
		_, source, _ := strings.Cut(line, " ; ")
		if !year.MatchString(source) {
			t.Errorf("builtin.fp:%d: no source with a year behind the signature", i+1)
		}
	}
}

// A row for IPv6 needs a source that covers IPv6.
func TestBuiltinRowsOfIPv6HaveSourcesForIt(t *testing.T) {
	year := regexp.MustCompile(`^(\d{4})?$`)
	only4 := regexp.MustCompile(`^(pf\.os|prads|Satori|zardaxt|MUNI|NTLM|huginn)\b`)
	for i, line := range strings.Split(builtinTable, "\n") {
		if !strings.HasPrefix(line, "sig   = *:") && !strings.HasPrefix(line, "sig   = 6:") {
			continue
		}
		_, source, _ := strings.Cut(line, " ; ")
		if !slices.ContainsFunc(strings.FieldsFunc(source, func(r rune) bool { return r == ';' || r == ',' }), func(s string) bool {
			s = strings.TrimSpace(s)
			return !only4.MatchString(s) && !year.MatchString(s)
		}) {
			t.Errorf("builtin.fp:%d: the row is for IPv6 too, and its source is of IPv4", i+1)
		}
	}
}

// Each row matches at least one of its own packets.
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

// variants returns the choices that generate makes packets of a signature with.
func variants(s Signature) []variant {
	versions := []uint8{4, 6}
	if s.Version != 0 {
		versions = []uint8{s.Version}
	}
	var all []variant
	for _, version := range versions {
		for _, hops := range []uint8{0, 10, min(MaxDistance, s.TTL-1)} {
			all = append(all, variant{version, hops, false}, variant{version, hops, true})
		}
	}
	return all
}

func TestBuiltinLabelsAreTidy(t *testing.T) {
	known := map[string]bool{"linux": true, "windows": true, "apple": true, "bsd": true, "solaris": true, "cisco": true,
		"unix": true, "embedded": true, "console": true, "other": true}
	for _, l := range Builtin().Labels() {
		if l.Class == OS && !known[l.Family] {
			t.Errorf("%q is of family %q", l, l.Family)
		}
		if text := l.String(); text == "" || text[0] == ' ' || text[len(text)-1] == ' ' {
			t.Errorf("label %q", text)
		}
	}
}
