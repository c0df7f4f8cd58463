package p0f

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
)

func layoutOf(t testing.TB, text string) Layout {
	t.Helper()
	l, err := parseLayout(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseSignature(t *testing.T) {
	tests := []struct {
		name, text string
		want       Signature
	}{
		{"rule", "*:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0", Signature{
			TTL: 64, MSS: Any, Window: Window{WindowMSS, 20}, Scale: 7,
			Layout: layoutOf(t, "mss,sok,ts,nop,ws"), Quirks: QuirkDF | QuirkIDNonZero,
		}},
		{"observation", "4:54+10:4:1460:mtu*3,0:mss,nop,nop,sok:df:+", Signature{
			Version: 4, TTL: 64, TTLForm: TTLObserved, Hops: 10, IPOptions: 4, MSS: 1460,
			Window: Window{WindowMTU, 3}, Layout: layoutOf(t, "mss,nop,nop,sok"),
			Quirks: QuirkDF, Payload: PayloadSome,
		}},
		{"TTL zero seen", "4:0+32:0:0:0,0:::0", Signature{
			Version: 4, TTL: 32, TTLForm: TTLObserved, Hops: 32, Window: Window{WindowValue, 0},
		}},
		{"random TTL, everything open", "6:255-:0:*:*,*:?30,eol+0:flow:*", Signature{
			Version: 6, TTL: 255, TTLForm: TTLRandom, MSS: Any, Scale: Any,
			Layout: layoutOf(t, "?30,eol+0"), Quirks: QuirkFlow, Payload: PayloadAny,
		}},
		{"additions to the grammar", "4:64:0:*:fit65536,*:mss:df,id+?,ecn?,id=54321,id=dst^dport^seq,seq=dst:0", Signature{
			Version: 4, TTL: 64, MSS: Any, Window: Window{WindowSegment, 65536}, Scale: Any,
			Layout: layoutOf(t, "mss"), Quirks: QuirkDF, Optional: QuirkIDNonZero | QuirkECN,
			Conditions: CondID | CondIDMixed | CondSeqDst, ID: 54321,
		}},
		{"no options", "*:64:0:0:%2,255:::0", Signature{
			TTL: 64, Window: Window{WindowModulo, 2}, Scale: 255,
		}},
	}
	for _, test := range tests {
		t.Run("ok "+test.name, func(t *testing.T) {
			got, err := ParseSignature(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Layout{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.String() != test.text {
				t.Errorf("printed as %q, want %q", got.String(), test.text)
			}
		})
	}
}

func TestParseSignatureBad(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", `bad signature: want 8 fields separated by colons, got 1 in ""`},
		{"field missing", "4:64:0:*:*,*:mss:df", `bad signature: want 8 fields separated by colons, got 7 in "4:64:0:*:*,*:mss:df"`},
		{"field too many", "4:64:0:*:*,*:mss:df:0:", `bad signature: want 8 fields separated by colons, got 9 in "4:64:0:*:*,*:mss:df:0:"`},
		{"version", "5:64:0:*:*,*:mss::0", `bad version: "5": want 4, 6 or *`},
		{"TTL zero", "4:0:0:*:*,*:mss::0", `bad ttl: "0": want a number from 1 to 255, not "0"`},
		{"TTL too large", "4:256:0:*:*,*:mss::0", `bad ttl: "256": want a number from 1 to 255, not "256"`},
		{"TTL sum zero", "4:0+0:0:*:*,*:mss::0", `bad ttl: "0+0": the sum must be from 1 to 255`},
		{"TTL sum too large", "4:200+100:0:*:*,*:mss::0", `bad ttl: "200+100": the sum must be from 1 to 255`},
		{"TTL distance unknown", "4:200+?:0:*:*,*:mss::0", `bad ttl: "200+?": want a number from 0 to 255, not "?"`},
		{"TTL both forms", "4:54+10-:0:*:*,*:mss::0", `bad ttl: "54+10-": want a number from 0 to 255, not "10-"`},
		{"TTL leading zero", "4:064:0:*:*,*:mss::0", `bad ttl: "064": want a number from 1 to 255, not "064"`},
		{"TTL sign", "4:+64:0:*:*,*:mss::0", `bad ttl: "+64": want a number from 0 to 255, not ""`},
		{"IP options", "4:64:*:*:*,*:mss::0", `bad ip options length: "*": want a number from 0 to 255, not "*"`},
		{"MSS", "4:64:0:65536:*,*:mss::0", `bad mss: "65536": want a number from 0 to 65535, not "65536"`},
		{"scale missing", "4:64:0:*:*:mss::0", `bad window: "*": want window and scale separated by a comma`},
		{"window empty", "4:64:0:*:,*:mss::0", `bad window: ",*": want *, a number, or one of %N, mss*N, mtu*N, fitN, not ""`},
		{"window form", "4:64:0:*:ws*2,*:mss::0", `bad window: "ws*2,*": want *, a number, or one of %N, mss*N, mtu*N, fitN, not "ws*2"`},
		{"window modulo 1", "4:64:0:*:%1,*:mss::0", `bad window: "%1,*": want a number from 2 to 65535, not "1"`},
		{"window multiple 0", "4:64:0:*:mss*0,*:mss::0", `bad window: "mss*0,*": want a number from 1 to 1000, not "0"`},
		{"window fit too large", "4:64:0:*:fit65537,*:mss::0", `bad window: "fit65537,*": want a number from 1 to 65536, not "65537"`},
		{"window too large", "4:64:0:*:65536,*:mss::0", `bad window: "65536,*": want a number from 0 to 65535, not "65536"`},
		{"scale", "4:64:0:*:*,256:mss::0", `bad window: "*,256": want a number from 0 to 255, not "256"`},
		{"unknown option", "4:64:0:*:*,*:mss,foo::0", `bad option layout: "mss,foo": unknown option "foo"`},
		{"empty option", "4:64:0:*:*,*:mss,::0", `bad option layout: "mss,": unknown option ""`},
		{"eol not last", "4:64:0:*:*,*:eol+1,mss::0", `bad option layout: "eol+1,mss": eol must be the last option`},
		{"eol without padding", "4:64:0:*:*,*:eol::0", `bad option layout: "eol": unknown option "eol"`},
		{"named option by number", "4:64:0:*:*,*:?2::0", `bad option layout: "?2": "?2" is an option that has a name`},
		{"option number", "4:64:0:*:*,*:?256::0", `bad option layout: "?256": want a number from 0 to 255, not "256"`},
		{"25 options", "4:64:0:*:*,*:nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop::0",
			`bad option layout: "nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop": more than 24 options`},
		{"unknown quirk", "4:64:0:*:*,*:mss:df,foo:0", `bad quirks: "df,foo": unknown quirk "foo"`},
		{"quirk twice", "4:64:0:*:*,*:mss:df,df:0", `bad quirks: "df,df": "df" is listed twice`},
		{"quirk twice, once optional", "4:64:0:*:*,*:mss:df,df?:0", `bad quirks: "df,df?": "df?" is listed twice`},
		{"quirk of the other version", "6:64:0:*:*,*:mss:df:0", `bad quirks: "df": df, id+, id-, 0+ and conditions exist in IPv4 only, and the signature is for IPv6`},
		{"flow with IPv4", "4:64:0:*:*,*:mss:flow?:0", `bad quirks: "flow?": flow exists in IPv6 only, and the signature is for IPv4`},
		{"condition with IPv6", "6:64:0:*:*,*:mss:seq=dst:0", `bad quirks: "seq=dst": df, id+, id-, 0+ and conditions exist in IPv4 only, and the signature is for IPv6`},
		{"condition with any version", "*:64:0:*:*,*:mss:seq=dst:0", `bad quirks: "seq=dst": conditions exist in IPv4 only: want version 4`},
		{"condition twice", "4:64:0:*:*,*:mss:id=1,id=2:0", `bad quirks: "id=1,id=2": "id=2" is listed twice`},
		{"condition's number", "4:64:0:*:*,*:mss:id=65536:0", `bad quirks: "id=65536": want a number from 0 to 65535, not "65536"`},
		{"payload class", "4:64:0:*:*,*:mss::1", `bad payload class: "1": want 0, + or *`},
	}
	for _, test := range tests {
		t.Run("bad "+test.name, func(t *testing.T) {
			got, err := ParseSignature(test.text)
			if err == nil {
				t.Fatalf("parsed as %v", got)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			var bad *ParseError
			if !errors.As(err, &bad) {
				t.Errorf("error is a %T", err)
			}
			if got != (Signature{}) {
				t.Errorf("error, but also %v", got)
			}
		})
	}
}

// anySignature is a random valid signature.
func anySignature(r *rand.Rand) Signature {
	s := Signature{
		Version:   []uint8{0, 4, 6}[r.IntN(3)],
		TTL:       uint8(1 + r.IntN(255)),
		TTLForm:   TTLForm(r.IntN(3)),
		IPOptions: uint8(r.IntN(256)),
		MSS:       int32(r.IntN(65537) - 1),
		Scale:     int16(r.IntN(257) - 1),
		Quirks:    Quirk(r.Uint32()) & (1<<len(quirkNames) - 1),
		Payload:   Payload(r.IntN(3)),
	}
	if s.TTLForm == TTLObserved {
		s.Hops = uint8(r.IntN(int(s.TTL) + 1))
	}
	if i := r.IntN(len(windowForms) + 2); i < len(windowForms) {
		form := windowForms[i]
		s.Window = Window{form.rule, uint32(form.min + r.IntN(form.max-form.min+1))}
	} else if i == len(windowForms) {
		s.Window = Window{WindowValue, uint32(r.IntN(65536))}
	}
	for range r.IntN(MaxOptions + 1) {
		kind := uint8(r.IntN(256))
		s.Layout.add(kind)
		if packet.OptionKind(kind) == packet.OptionEnd {
			s.Layout.pad = uint8(r.IntN(256))
			break
		}
	}
	s.Optional = Quirk(r.Uint32()) & (1<<len(quirkNames) - 1) &^ s.Quirks
	switch s.Version {
	case 4:
		s.Quirks &^= quirksIPv6
		s.Optional &^= quirksIPv6
		s.Conditions = Condition(r.IntN(8))
		if s.Conditions&CondID != 0 {
			s.ID = uint16(r.IntN(65536))
		}
	case 6:
		s.Quirks &^= quirksIPv4
		s.Optional &^= quirksIPv4
	}
	return s
}

func TestParsingWhatIsPrintedGivesTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		s := anySignature(r)
		got, err := ParseSignature(s.String())
		if err != nil {
			t.Fatalf("%v: %v", s, err)
		}
		if got != s {
			t.Fatalf("%v became %v", s, got)
		}
	}
}

func FuzzParseSignature(f *testing.F) {
	for _, e := range Builtin().entries {
		f.Add(e.signature.String())
	}
	f.Add("4:54+10:0:1460:mtu*4,0:mss,?30,sack,eol+3:df,id=1,id=dst^dport^seq:+")
	f.Add("6:255-:0:*:%2,*::flow?,bad:*")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSignature(text)
		if err != nil {
			if s != (Signature{}) {
				t.Fatalf("%q: error, but also %v", text, s)
			}
			return
		}
		again, err := ParseSignature(s.String())
		if err != nil || again != s {
			t.Fatalf("%q is printed as %q, which gives %v, %v", text, s, again, err)
		}
		// The quirks may be in any order; nothing else may be written in
		// two ways.
		if len(s.String()) != len(text) {
			t.Fatalf("%q is printed as %q", text, s)
		}
	})
}
