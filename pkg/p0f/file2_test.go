package p0f

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goodPF has the line of the 2004 article that lost its colon, systems that share a
// signature, and all prefixes of a genre.
const goodPF = `# A comment.

S4:64:1:60:M*,S,T,N,W0  Linux:2.4::Linux 2.4/2.6
S20:64:1:60:M*,S,T,N,W7:	Linux:3.11-4.19::Linux 3.11 - 4.19
  # Another.
65535:128:1:48:M*,N,N,S:Windows:2000:SP4:Windows 2000 SP4, XP SP1
65535:128:1:48:M*,N,N,S:Windows:XP:SP1:Windows 2000 SP4, XP SP1
57344:64:1:60:M*,N,W0,N,N,T:FreeBSD:4.6-4.9::FreeBSD 4.6-4.9
57344:64:1:60:M*,N,W0,N,N,T:DragonFly:1.0:A:DragonFly 1.0A
1024:64:0:40:.:*NMAP:syn scan:1:NMAP syn scan (1)
S3:64:1:60:M1460,N,W0,N,N,T:-Crawler:::
S5:64:1:60:M1460,N,W0,N,N,T:Linux:9::
S5:64:1:60:M1460,N,W0,N,N,T:-Crawler:::
100:64:0:44:M*,?30:Linux:with an option pf has no letter for::
*:128:1:52:M*,N,W*,N,N,S:@Windows:XP:RFC1323:Windows XP/2000 (RFC1323)
4128:255:0:44:M*:Cisco:::Catalyst 3500
`

// goodV2 has all prefixes of a genre too.
const goodV2 = `# p0f 2
S4:64:1:60:M*,S,T,N,W0:.:Linux:2.4/2.6
1024:64:0:40:.:.:-*NMAP:syn scan (1)
*:128:1:52:M*,N,W*,N,N,S:.:@Windows:XP/2000 (RFC1323)
65535:64:1:64:M*,N,W3,N,N,T,S,E:P:MacOS X:10.5
`

func TestParse2(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Label
		answers    map[string]string // by the packet
	}{
		{"pf.os", goodPF, []Label{
			{OS, "linux", "Linux", "2.4/2.6"},
			{OS, "linux", "Linux", "3.11 - 4.19"},
			{OS, "windows", "Windows", "2000 SP4, XP SP1"},
			{OS, "bsd", "FreeBSD", "4.6-4.9 or DragonFly 1.0A"},
			{Tool, "nmap", "NMAP", "syn scan (1)"},
			{Tool, "crawler", "Crawler", ""},
			{OS, "linux", "Linux", "with an option pf has no letter for"},
			{OS, "windows", "Windows", "XP/2000 (RFC1323)"},
			{OS, "cisco", "Cisco", "Catalyst 3500"},
		}, map[string]string{
			"4:64+0:0:1460:5840,0:mss,sok,ts,nop,ws:df,id+:0":             "os exact Linux 2.4/2.6",
			"4:1+63:0:0:1024,0:::0":                                       "tool exact NMAP syn scan (1)",
			"4:65:0:0:1024,0:::0":                                         "none",
			"4:128+0:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+:0":      "os family Windows XP/2000 (RFC1323)",
			"4:64+0:0:1460:4380,0:mss,nop,ws,nop,nop,ts:df,id+:0":         "tool exact Crawler",
			"4:64+0:0:1460:7300,0:mss,nop,ws,nop,nop,ts:df,id+:0":         "tool exact Crawler",
			"4:64+0:0:1460:100,0:mss,?30::0":                              "none",
			"4:64+0:0:1460:57344,0:mss,nop,ws,nop,nop,ts:df,id+,pushf+:0": "os exact FreeBSD 4.6-4.9 or DragonFly 1.0A",
		}},
		{"p0f version 2", goodV2, []Label{
			{OS, "linux", "Linux", "2.4/2.6"},
			{Tool, "nmap", "NMAP", "syn scan (1)"},
			{OS, "windows", "Windows", "XP/2000 (RFC1323)"},
			{OS, "apple", "MacOS X", "10.5"},
		}, map[string]string{
			"4:64+0:0:1460:5840,0:mss,sok,ts,nop,ws:df,id+:0":                    "os exact Linux 2.4/2.6",
			"4:64+0:0:1460:5840,0:mss,sok,ts,nop,ws::0":                          "os low Linux 2.4/2.6",
			"4:1+63:0:0:1024,0:::0":                                              "tool exact NMAP syn scan (1)",
			"4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0":     "os exact MacOS X 10.5",
			"4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn:0": "os exact MacOS X 10.5",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, err := Parse("f", strings.NewReader(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, db.Labels()); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			for packet, want := range test.answers {
				if got := answer(db, syn(t, packet)); got != want {
					t.Errorf("%s: got %q, want %q", packet, got, want)
				}
			}
		})
	}
}

func TestParse2Bad(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"comment only", "# nothing\n", `f.os:1: bad file: no signature in it`},
		{"fields", "# x\nS4:64:1:60:M*:1:2:3:4\nS4:64:1:60:M*\n", `f.os:3: bad line: want 9 fields separated by colons (pf.os) or 8 (p0f version 2), got 5`},
		{"mixed", goodPF + "S4:64:1:60:M*,S,T,N,W0:.:Linux:2.4\n", `f.os:17: bad line: this is a line of p0f version 2, and line 3 is one of pf.os: a file has one kind`},
		{"mixed the other way", goodV2 + "S4:64:1:60:M*,S,T,N,W0:Linux:2.4::x\n", `f.os:6: bad line: this is a line of pf.os, and line 2 is one of p0f version 2: a file has one kind`},
		{"window", "X4:64:1:60:M*:Linux:1:2:3\n", `f.os:1: bad window: "X4": want *, a number, or one of %N, SN, TN, not "X4"`},
		{"ttl", "S4:0:1:60:M*:Linux:1:2:3\n", `f.os:1: bad ttl: "0": want a number from 1 to 255, not "0"`},
		{"df", "S4:64:2:60:M*:Linux:1:2:3\n", `f.os:1: bad df: "2": want 0 or 1`},
		{"size", "S4:64:1:20:M*:Linux:1:2:3\n", `f.os:1: bad size: "20": want a number from 40 to 65535, not "20"`},
		{"option", "S4:64:1:60:M*,X:Linux:1:2:3\n", `f.os:1: bad options: "M*,X": unknown option "X": want N, E, S, T, T0, W, M or ?N`},
		{"option by number", "S4:64:1:60:M*,?1:Linux:1:2:3\n", `f.os:1: bad options: "M*,?1": "?1" has a letter of its own, N`},
		{"quirk", "S4:64:1:60:M*:B:Linux:1\n", `f.os:1: bad quirks: "B": unknown quirk 'B': want letters of PZIUXATFD!KQ0`},
		{"genre", "S4:64:1:60:M*:@:1:2:3\n", `f.os:1: bad genre: "@": want -, * or @ where needed, and then letters, digits, blanks and ./-_!?()`},
		{"details", "S4:64:1:60:M*:Linux:1:2:\x1b[0m\n", `f.os:1: bad details: "\x1b[0m": holds what cannot be printed`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, err := Parse("f.os", strings.NewReader(test.text))
			var bad *ParseError
			if db != nil || !errors.As(err, &bad) {
				t.Fatalf("got %v, %v", db, err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
