package p0f

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const goodFile = `; A comment.

classes = win,Unix
classes = other

[mtu]
label = Ethernet
sig   = 1500

[tcp:request]
; Another.
label = s:unix:Linux:3.x
sig   = *:64:0:*:mss*10,4:mss,sok,ts,nop,ws:df,id+:0
sig   = *:64:0:*:mss*10,5:mss,sok,ts,nop,ws:df,id+:0
label = g:win:Windows:
sig = *:128:0:*:*,*:mss,nop,ws,nop,nop,sok:df,id+:0
label = s:!:NMap:SYN scan
sys   = @unix,@WIN,BeOS (any)
sig   = *:64-:0:1460:1024,0:mss::0
label = s:OTHER:Toaster:model: 3
sig=4:255:0:*:4128,0:mss::0

[tcp:response]
label = s:unix:Linux:3.x
sig   = anything at all, even = this

[http:request]
ua_os = Linux,Windows
label = s:!:Firefox:2.x
sys   = Windows,@unix
sig   = *:Host,User-Agent:Keep-Alive:Firefox/

[http:response]
[tcp:request]
label = s:unix:Mac OS X:10.x
sig = *:64:0:*:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
`

func TestParse(t *testing.T) {
	for _, ending := range []string{"\n", "\r\n"} {
		db, err := Parse("good.fp", strings.NewReader(strings.ReplaceAll(goodFile, "\n", ending)))
		if err != nil {
			t.Fatal(err)
		}
		want := []Label{
			{OS, "linux", "Linux", "3.x"},
			{OS, "windows", "Windows", ""},
			{Tool, "nmap", "NMap", "SYN scan"},
			{OS, "other", "Toaster", "model: 3"},
			{OS, "apple", "Mac OS X", "10.x"},
		}
		if diff := cmp.Diff(want, db.Labels()); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
		if len(db.entries) != 6 {
			t.Errorf("%d signatures, want 6", len(db.entries))
		}
		if first := db.entries[0].signature.String(); first != "*:64-:0:1460:1024,0:mss::0" {
			t.Errorf("the first is %s, want the tool's", first)
		}
	}
}

func TestParseBad(t *testing.T) {
	const head = "classes = unix\n[tcp:request]\n"
	const label = "label = s:unix:Linux:\n"
	const sig = "sig = *:64:0:*:mss*10,4:mss:df:0\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", `f.fp:0: bad file: no signature in it`},
		{"no signature used", "classes = unix\n[mtu]\nlabel = x\nsig = 1500\n", `f.fp:4: bad file: no signature in it`},
		{"text", "hello\n", `f.fp:1: bad line: want a section, a comment or key = value, not "hello"`},
		{"key before a section", "label = s:unix:Linux:\n", `f.fp:1: bad line: "label" is not known here`},
		{"classes in a section", head + "classes = win\n", `f.fp:3: bad line: "classes" is not known here`},
		{"class no name", "classes = unix,,win\n", `f.fp:1: bad classes: "" is no name`},
		{"unknown section", "[tcp:requests]\n", `f.fp:1: bad section: "[tcp:requests]" is none of p0f's`},
		{"open section", "[tcp:request\n", `f.fp:1: bad section: "[tcp:request" is none of p0f's`},
		{"unknown key", head + "lable = s:unix:Linux:\n", `f.fp:3: bad line: "lable" is not known here`},
		{"unknown key where nothing is used", "[mtu]\nlable = x\n", `f.fp:2: bad line: "lable" is not known here`},
		{"key of another section", head + "ua_os = Linux\n", `f.fp:3: bad line: "ua_os" is not known in [tcp:request]`},
		{"label too short", head + "label = s:unix:Linux\n", `f.fp:3: bad label: want type:class:name:flavour, not "s:unix:Linux"`},
		{"label's type", head + "label = x:unix:Linux:\n", `f.fp:3: bad label: type "x": want s (specific) or g (generic)`},
		{"label's class", head + "label = s:win:Windows:\n", `f.fp:3: bad label: class "win" is not among the classes at the head of the file`},
		{"stack named like a system", "classes = stack\n[tcp:request]\nlabel = s:stack:Linux in user space:\n", `f.fp:3: bad label: name "Linux in user space" is an operating system's, and class "stack" is not for systems`},
		{"proxy named like a system", "classes = Proxy\n[tcp:request]\nlabel = s:proxy:windows:\n", `f.fp:3: bad label: name "windows" is an operating system's, and class "proxy" is not for systems`},
		{"proxy not among the classes", head + "label = s:proxy:Squid:\n", `f.fp:3: bad label: class "proxy" is not among the classes at the head of the file`},
		{"label's name", head + "label = s:unix:Li<nux:\n", `f.fp:3: bad label: name "Li<nux": want letters, digits, blanks and ./-_!?()`},
		{"label without name", head + "label = s:unix::\n", `f.fp:3: bad label: name "": want letters, digits, blanks and ./-_!?()`},
		{"escape in the flavour", head + "label = s:unix:Linux:\x1b[31m\n", `f.fp:3: bad label: flavour "\x1b[31m": holds what cannot be printed`},
		{"flavour no UTF-8", head + "label = s:unix:Linux:\xff\n", `f.fp:3: bad label: flavour "\xff": holds what cannot be printed`},
		{"sys without label", head + "sys = @unix\n", `f.fp:3: bad sys: no label before it`},
		{"sys of no class", head + "label = s:!:x:\nsys = @win\n", `f.fp:4: bad sys: class "win" is not among the classes at the head of the file`},
		{"sys no name", head + "label = s:!:x:\nsys = Linux,\n", `f.fp:4: bad sys: "" is no name`},
		{"sig without label", head + sig, `f.fp:3: bad sig: no label before it`},
		{"label of an earlier section", head + label + "[mtu]\n[tcp:request]\n" + sig, `f.fp:6: bad sig: no label before it`},
		{"sig", head + label + sig + "sig = *:64:0:*:mss*10,4:mss:df,oops:0\n", `f.fp:5: bad quirks: "df,oops": unknown quirk "oops"`},
		{"sig twice", head + label + sig + "label = s:unix:BSD:\n" + sig, `f.fp:6: bad sig: "*:64:0:*:mss*10,4:mss:df:0" stands already in line 4`},
		{"line too long", head + "; " + strings.Repeat("x", maxLineSize) + "\n", `f.fp:3: bad line: longer than 8192 bytes`},
		{"file too long", strings.Repeat(strings.Repeat(";", 1023)+"\n", 4<<10) + ";\n", `f.fp:4097: bad file: longer than 4194304 bytes`},
	}
	for _, test := range tests {
		t.Run("bad "+test.name, func(t *testing.T) {
			db, err := Parse("f.fp", strings.NewReader(test.text))
			if db != nil {
				t.Error("a database in spite of the error")
			}
			var bad *ParseError
			if !errors.As(err, &bad) {
				t.Fatalf("error is %v", err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseGivesTheReadersError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(goodFile), iotest.ErrReader(io.ErrClosedPipe))
	db, err := Parse("f.fp", broken)
	if db != nil || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, %v", db, err)
	}
}

func TestParseBoundsTheNumberOfSignatures(t *testing.T) {
	var b strings.Builder
	b.WriteString("classes = unix\n[tcp:request]\nlabel = s:unix:Linux:\n")
	line := func(i int) {
		s := Signature{TTL: 64, MSS: int32(i), Window: Window{WindowValue, 1}}
		b.WriteString("sig = " + s.String() + "\n")
	}
	for i := range maxEntries {
		line(i)
	}
	db, err := Parse("f.fp", strings.NewReader(b.String()))
	if err != nil || len(db.entries) != maxEntries {
		t.Fatal(err)
	}
	if db, err := Merge(db, Builtin()); db != nil || !errors.Is(err, ErrTooMany) {
		t.Errorf("merged to %v, %v", db, err)
	}
	line(maxEntries)
	if _, err = Parse("f.fp", strings.NewReader(b.String())); err == nil {
		t.Error("one more was accepted")
	}
}

// holds reports whether a row of an entry is in the group.
func (g *group) holds(entry uint16, label LabelID) bool {
	return slices.ContainsFunc(g.rows, func(r row) bool { return r.entry == entry && r.label == label })
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodFile))
	f.Add([]byte(builtinTable))
	f.Add([]byte(goodPF))
	f.Add([]byte(goodV2))
	f.Add([]byte("*:1:0:*:?9,E:K@!PZIUXATFD:-*@a b:\n"))
	f.Add([]byte("classes = a\n[tcp:request]\nlabel = g:a:b:c\nsig = *:64:0:*:*,*::bad:*\n"))
	p := syn(f, "4:64+0:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0")
	f.Fuzz(func(t *testing.T, text []byte) {
		db, err := Parse("fuzz", strings.NewReader(string(text)))
		if err != nil {
			if db != nil {
				t.Fatal("a database in spite of the error")
			}
			return
		}
		if len(db.entries) == 0 {
			t.Fatal("an empty database")
		}
		// Every label exists, and every signature is found under its layouts.
		for i, e := range db.entries {
			if db.Label(e.label).String() == "" {
				t.Fatalf("%v has no label", e.signature)
			}
			for version := range db.index {
				for _, r := range e.signature.rows(version == 1) {
					g := db.index[version].find(&r.layout)
					if g == nil || !g.holds(uint16(i), e.label) {
						t.Fatalf("%v is not found", e.signature)
					}
				}
			}
		}
		db.Match(p)
	})
}
