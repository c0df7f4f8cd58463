package p0f

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
)

func TestParseSignature2(t *testing.T) {
	layout := layoutOf(t, "mss,sok,ts,nop,ws")
	tests := []struct {
		text string
		pf   bool
		want Signature2
	}{
		{"S4:64:1:60:M*,S,T,N,W7:.", false, Signature2{
			Window: Window{WindowS, 4}, TTL: 64, DF: true, Size: 60, MSS: Any, Scale: 7, Layout: layout,
		}},
		{"S4:64:1:60:M*,S,T,N,W0", true, Signature2{
			PF: true, Window: Window{WindowS, 4}, TTL: 64, DF: true, Size: 60, MSS: Any, Layout: layout,
		}},
		{"T30:64:0:*:M%8,S,T0,N,W%2:ZAT!0", false, Signature2{
			Window: Window{WindowT, 30}, TTL: 64, MSS: 8, MSSModulo: true, Scale: 2, ScaleModulo: true, TSZero: true, Layout: layout,
			Quirks: Quirk2IDZero | Quirk2Ack | Quirk2TSPeer | Quirk2Bad | Quirk2SeqZero,
		}},
		{"%8192:128:1:48:M536,N,N,S,?12,E:PIUXFDKQ", false, Signature2{
			Window: Window{WindowModulo, 8192}, TTL: 128, DF: true, Size: 48, MSS: 536, Layout: layoutOf(t, "mss,nop,nop,sok,?12,eol+0"),
			Quirks: Quirk2Padding | Quirk2IPOptions | Quirk2Urgent | Quirk2Reserved | Quirk2Flags | Quirk2Data | Quirk2Reset | Quirk2SeqAck,
		}},
		{"*:255:0:40:.", true, Signature2{PF: true, TTL: 255, Size: 40}},
		{"2048:255:0:40:.:.", false, Signature2{Window: Window{WindowValue, 2048}, TTL: 255, Size: 40}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got, err := parseSignature2(test.text, test.pf)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Layout{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.String() != test.text {
				t.Errorf("printed as %q", got)
			}
		})
	}
}

// Spellings in files that String does not return.
func TestParseSignature2Spellings(t *testing.T) {
	for text, want := range map[string]string{
		"s4:64:1:60:M*,S,T,N,W0": "S4:64:1:60:M*,S,T,N,W0",
		"t4:64:1:60:M* S T N W0": "T4:64:1:60:M*,S,T,N,W0",
		"512:64:0:44:M* N,N E":   "512:64:0:44:M*,N,N,E",
		"512:64:0:44:?2,N":       "",
		"512:64:0:44:M*,N,N,E,N": "",
		"512:64:0:44:M*,,N":      "",
		"512:64:0:44:":           "",
		"512:64:0:44:M":          "",
		"512:64:0:44:N1":         "",
		"512:64:0:44:T1":         "",
		"512:64:0:44:M1,M2":      "512:64:0:44:M2,M2",
		"512:64:0:44:X":          "",
		"S0:64:0:44:.":           "",
		"%0:64:0:44:.":           "",
		"mss*4:64:0:44:.":        "",
		"512:0:0:44:.":           "",
		"512:64:2:44:.":          "",
		"512:64:0:39:.":          "",
		"512:64:0:44:W256":       "",
		"512:64:0:44:M%1":        "",
		"512:64:0:44:.:.":        "",
		"512:64:0:44:?":          "",
		"512:64:0:44:?300":       "",
		"512:64:0:44:" + strings.Repeat("N,", 24) + "N": "",
	} {
		got, err := ParsePF(text)
		if want == "" {
			var bad *ParseError
			if !errors.As(err, &bad) || bad.Field == "" || bad.Reason == "" || got != (Signature2{}) {
				t.Errorf("%q: parsed as %v, %v", text, got, err)
			}
			t.Log(err)
		} else if err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"512:64:0:44:.:", "512:64:0:44:.:ZZ", "512:64:0:44:.:z", "512:64:0:44:."} {
		if _, err := ParseSignature2(text); err == nil {
			t.Errorf("%q was parsed", text)
		} else {
			t.Log(err)
		}
	}
}

// anySignature2 is a random valid signature.
func anySignature2(r *rand.Rand) Signature2 {
	s := Signature2{PF: r.IntN(2) == 0, TTL: uint8(1 + r.IntN(255)), DF: r.IntN(2) == 0}
	if r.IntN(4) > 0 {
		s.Size = uint16(40 + r.IntN(60))
	}
	if !s.PF {
		s.Quirks = Quirk2(r.IntN(1 << len(quirkLetters)))
	}
	switch form := windowForms2[r.IntN(len(windowForms2))]; r.IntN(4) {
	case 0:
	case 1:
		s.Window = Window{WindowValue, uint32(r.IntN(65536))}
	default:
		s.Window = Window{form.rule, uint32(form.min + r.IntN(form.max-form.min+1))}
	}
	modulo := func(most int) (int, bool) {
		switch r.IntN(3) {
		case 0:
			return Any, false
		case 1:
			return r.IntN(most + 1), false
		}
		return 2 + r.IntN(most-1), true
	}
	kinds := []packet.OptionKind{1, 1, 1, 2, 3, 4, 8, 12, 30}
	for range r.IntN(MaxOptions) {
		kind := kinds[r.IntN(len(kinds))]
		if kind != packet.OptionNOP && s.Layout.contains(kind) {
			continue
		}
		s.Layout.add(uint8(kind))
		switch kind {
		case packet.OptionMSS:
			n, m := modulo(65535)
			s.MSS, s.MSSModulo = int32(n), m
		case packet.OptionWindowScale:
			n, m := modulo(255)
			s.Scale, s.ScaleModulo = int16(n), m
		case packet.OptionTimestamps:
			s.TSZero = r.IntN(2) == 0
		}
	}
	if r.IntN(4) == 0 {
		s.Layout.add(0)
	}
	return s
}

// Parsing, printing and parsing again gives the same; on error the result is zero.
func FuzzParseSignature2(f *testing.F) {
	for _, text := range []string{"S4:64:1:60:M*,S,T,N,W7:.", "T30:64:0:*:M%8,S,T0,N,W%2:ZAT!0", "%8192:128:1:48:M536,N,N,S,?12,E:PIUXFDKQ", "*:255:0:40:."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, pf := range []bool{false, true} {
			s, err := parseSignature2(text, pf)
			if err != nil {
				if s != (Signature2{}) {
					t.Fatalf("%q: %v beside %v", text, s, err)
				}
				continue
			}
			if again, err := parseSignature2(s.String(), pf); err != nil || again != s {
				t.Fatalf("%q: %v is read back as %v, %v", text, s, again, err)
			}
			s.rows(false)
		}
	})
}

func TestSignature2RoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		s := anySignature2(r)
		got, err := parseSignature2(s.String(), s.PF)
		if err != nil || got != s {
			t.Fatalf("%v is read back as %v, %v", s, got, err)
		}
	}
}

// Each signature is compared with packets that fit, nearly fit and do not fit. The
// packets are written in the grammar of version 3.
func TestFieldsOfASignature2(t *testing.T) {
	const linux = "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+:0"
	tests := []struct {
		name, sig, syn string
		want           Confidence
	}{
		{"all equal", "S4:64:1:60:M*,S,T,N,W7:.", linux, Exact},
		{"all equal, pf", "S4:64:1:60:M*,S,T,N,W7", linux, Exact},
		{"IPv6", "*:64:0:80:M*,S,T,N,W7", "6:64+0:0:1440:5840,7:mss,sok,ts,nop,ws::0", None},
		{"size", "S4:64:1:64:M*,S,T,N,W7", linux, None},
		{"size big", "S4:64:1:*:M*,S,T,N,W7:.", linux, None},
		{"size big, pf", "S4:64:1:*:M*,S,T,N,W7", linux, None},
		{"scale", "S4:64:1:60:M*,S,T,N,W8", linux, None},
		{"scale any", "S4:64:1:60:M*,S,T,N,W*", linux, Exact},
		{"scale modulo", "S4:64:1:60:M*,S,T,N,W%7", linux, Exact},
		{"scale not modulo", "S4:64:1:60:M*,S,T,N,W%2", linux, None},
		{"MSS", "S4:64:1:60:M1460,S,T,N,W7", linux, Exact},
		{"MSS other", "S4:64:1:60:M1400,S,T,N,W7", linux, None},
		{"MSS modulo", "S4:64:1:60:M%20,S,T,N,W7", linux, Exact},
		{"MSS not modulo", "S4:64:1:60:M%21,S,T,N,W7", linux, None},
		{"time stamp zero", "S4:64:1:60:M*,S,T0,N,W7", linux, None},
		{"time stamp zero, both", "S4:64:1:60:M*,S,T0,N,W7", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ts1-:0", Exact},
		{"time stamp not zero", "S4:64:1:60:M*,S,T,N,W7", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ts1-:0", None},

		{"TTL at the greatest distance", "S4:64:1:60:M*,S,T,N,W7", "4:24+40:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+:0", Exact},
		{"TTL beyond it", "S4:64:1:60:M*,S,T,N,W7", "4:23+41:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+:0", None},
		{"TTL above the initial", "S4:64:1:60:M*,S,T,N,W7", "4:65+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+:0", None},

		{"DF lost, p0f tries once more", "S4:64:1:60:M*,S,T,N,W7:.", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws::0", Low},
		{"DF lost, pf", "S4:64:1:60:M*,S,T,N,W7", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws::0", None},
		{"DF lost and ID zero", "S4:64:1:60:M*,S,T,N,W7:.", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:id-:0", None},
		{"DF lost and ID zero, as asked", "S4:64:1:60:M*,S,T,N,W7:Z", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:id-:0", Low},
		{"DF gained", "S4:64:0:60:M*,S,T,N,W7:.", linux, None},
		{"ID zero", "S4:64:1:60:M*,S,T,N,W7:.", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df:0", None},
		{"ID zero, as asked", "S4:64:1:60:M*,S,T,N,W7:Z", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df:0", Exact},
		{"ID zero, pf", "S4:64:1:60:M*,S,T,N,W7", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df:0", Exact},
		{"ECN never matters", "S4:64:1:60:M*,S,T,N,W7:.", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ecn:0", Exact},
		{"quirk missing", "S4:64:1:60:M*,S,T,N,W7:A", linux, None},
		{"acknowledgement number", "S4:64:1:60:M*,S,T,N,W7:A", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ack+:0", Exact},
		{"acknowledgement number not asked", "S4:64:1:60:M*,S,T,N,W7:.", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ack+:0", None},
		{"acknowledgement number, pf", "S4:64:1:60:M*,S,T,N,W7", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ack+:0", Exact},
		{"echoed time stamp", "S4:64:1:60:M*,S,T,N,W7:T", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,ts2+:0", Exact},
		{"push is F", "S4:64:1:60:M*,S,T,N,W7:F", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,pushf+:0", Exact},
		{"urgent flag is F", "S4:64:1:60:M*,S,T,N,W7:F", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,urgf+:0", Exact},
		{"urgent pointer is U", "S4:64:1:60:M*,S,T,N,W7:U", "4:64+0:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+,uptr+:0", Exact},
		{"sequence number zero is 0 and Q", "512:64:0:40:.:Q0", "4:64+0:0:0:512,0::seq-:0", Exact},
		{"sequence number zero, 0 alone", "512:64:0:40:.:0", "4:64+0:0:0:512,0::seq-:0", None},
		{"payload is D", "512:64:0:44:.:D", "4:64+0:0:0:512,0:::+", Exact},
		{"payload not asked", "512:64:0:44:.:.", "4:64+0:0:0:512,0:::+", None},
		{"IP options are I", "512:64:0:44:.:I", "4:64+0:4:0:512,0:::0", Exact},
		{"IP options not asked", "512:64:0:44:.:.", "4:64+0:4:0:512,0:::0", None},
		{"no SYN has RST", "512:64:0:40:.:K", "4:64+0:0:0:512,0:::0", None},

		{"end of options, one byte behind it", "65535:64:1:64:M*,N,W3,N,N,T,S,E:P", "4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", Exact},
		{"end of options, byte not named", "65535:64:1:64:M*,N,W3,N,N,T,S,E:.", "4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", None},
		{"end of options, other size", "65535:64:1:68:M*,N,W3,N,N,T,S,E:P", "4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", None},
		{"pf does not count the end of options", "65535:64:1:64:M*,N,W3,N,N,T,S", "4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", Exact},
		{"p0f does", "65535:64:1:64:M*,N,W3,N,N,T,S:.", "4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", None},
		{"option by number", "100:64:0:48:M*,?30:.", "4:64+0:0:1460:100,0:mss,?30::0", Exact},

		{"segments of the MSS", "S4:64:0:44:M*", "4:64+0:0:1400:5600,0:mss::0", Exact},
		{"segments of Ethernet", "S4:64:0:44:M*", "4:64+0:0:1400:5840,0:mss::0", Exact},
		{"segments of either, pf", "S4:64:0:44:M*", "4:64+0:0:730:5840,0:mss::0", Exact},
		{"segments of the MSS first", "S4:64:0:44:M*:.", "4:64+0:0:730:5840,0:mss::0", None},
		{"segments of the MSS first, as asked", "S8:64:0:44:M*:.", "4:64+0:0:730:5840,0:mss::0", Exact},
		{"segments without MSS", "S4:64:0:40:.:.", "4:64+0:0:0:5840,0:::0", Exact},
		{"segments without MSS, pf", "S4:64:0:40:.", "4:64+0:0:0:5840,0:::0", None},
		{"segments of a tiny MSS", "S4:64:0:44:M*", "4:64+0:0:5:20,0:mss::0", Exact},
		{"packets", "T4:64:0:44:M*", "4:64+0:0:1400:5760,0:mss::0", Exact},
		{"packets of Ethernet", "T4:64:0:44:M*", "4:64+0:0:1400:6000,0:mss::0", Exact},
		{"window modulo", "%100:64:0:44:M*", "4:64+0:0:1400:500,0:mss::0", Exact},
		{"window not modulo", "%100:64:0:44:M*", "4:64+0:0:1400:501,0:mss::0", None},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line := test.sig + ":A:1\n"
			if strings.Count(test.sig, ":") == 4 {
				line = test.sig + ":A:1:2:\n"
			}
			db, err := Parse("t", strings.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			if m := db.Match(syn(t, test.syn)); m.Confidence != test.want {
				t.Errorf("%s against %s: got %v, want %v", test.sig, test.syn, m.Confidence, test.want)
			}
		})
	}
}

func TestObserve2(t *testing.T) {
	tests := []struct{ syn, v2, pf string }{
		{"4:54+10:0:1460:mss*4,0:mss,sok,ts,nop,ws:df,id+:0", "S4:64:1:60:M*,S,T,N,W0:.", "S4:64:1:60:M*,S,T,N,W0"},
		{"4:64+0:0:1400:64240,7:mss,sok,ts,nop,ws:df,ts1-:0", "S44:64:1:60:M*,S,T0,N,W7:Z", "S44:64:1:60:M*,S,T0,N,W7"},
		{"4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn:0", "65535:64:1:64:M*,N,W6,N,N,T,S,E:PZ", "65535:64:1:64:M*,N,W6,N,N,T,S,E"},
		{"4:255+0:0:0:1024,0:::0", "1024:255:0:40:.:.", "1024:255:0:40:."},
		{"4:64+0:0:1460:100,0:mss,?30:df,id+,ack+,pushf+:+", "100:64:1:52:M*,?30:AFD", "100:64:1:52:M*,?30"},
	}
	for _, test := range tests {
		p := syn(t, test.syn)
		for _, pf := range []bool{false, true} {
			want := test.v2
			if pf {
				want = test.pf
			}
			got, ok := Observe2(p, pf)
			if !ok || got.String() != want {
				t.Errorf("%s: got %v, want %s", test.syn, got, want)
			}
			// The packet fits its own signature.
			line := want + ":A:1:::"[:4+2*b2i(pf)]
			db, err := Parse("t", strings.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			// pf matches no packet with an option that has no letter.
			without := pf && strings.Contains(want, "?")
			if m := db.Match(p); m.Confidence != Exact && !without {
				t.Errorf("%s does not fit %s", test.syn, want)
			}
		}
	}
	if got, ok := Observe2(syn(t, "6:64+0:0:1440:64800,7:mss,sok,ts,nop,ws::0"), true); ok {
		t.Errorf("IPv6: %v", got)
	}
}
