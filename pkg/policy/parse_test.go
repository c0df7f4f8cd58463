package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nftknock/test/seeds"
	"nftknock/test/thorough"
)

// FuzzParse: no text panics; an error means no policy; a policy can be
// written and read again.
func FuzzParse(f *testing.F) {
	seeds.AddFiles(f, "testdata/*/*.toml")
	f.Fuzz(func(t *testing.T, text string) {
		p, diags := parseAsOf("x", []byte(text), Host{})
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("policy is nil: %t; %v", p == nil, diags)
		}
		lineCount := 1 + strings.Count(text, "\n")
		for _, d := range diags {
			if d.Message == "" || d.Line > lineCount || (d.Line == 0) != (d.Column == 0) || strings.Contains(d.String(), "\n") {
				t.Errorf("bad diagnostic %q", d)
			}
		}
		if p != nil {
			checkRoundTrip(t, p)
		}
	})
}

func TestHostileNestingIsRefusedInTime(t *testing.T) {
	size := thorough.Choose(1<<18, 1<<20) // all of it takes time in proportion
	var unknown strings.Builder
	for i := range size / 16 {
		fmt.Fprintf(&unknown, "k%d = 1\n", i)
	}
	for name, text := range map[string]string{
		"arrays":         "a = " + strings.Repeat("[", size),
		"inline tables":  "a = " + strings.Repeat("{a=", size/3),
		"dotted key":     strings.Repeat("a.", size/2) + "a = 1",
		"dotted header":  "[" + strings.Repeat("a.", size/2) + "a]",
		"quotes":         "a = " + strings.Repeat(`"`, size),
		"headers":        strings.Repeat("[[a]]\n", size/6),
		"keys":           "[a]\n" + strings.Repeat("b\n", size/2),
		"comment":        strings.Repeat("#", size),
		"open string":    `a = "` + strings.Repeat("x", size),
		"long key":       strings.Repeat("x", size/2) + " = 1",
		"array of items": "a = [" + strings.Repeat("1,", size/2) + "]",
		"bad items":      "[[access]]\nopen = [" + strings.Repeat("1,", size/2-20) + "]",
		"unknown keys":   "[[access]]\n" + unknown.String(),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, diags := Parse("x", []byte(text))
			if name != "comment" && !diags.HasErrors() {
				t.Error("no error")
			}
			for _, d := range diags {
				if len(d.String()) > 1000 {
					t.Errorf("a diagnostic of %d bytes", len(d.String()))
				}
			}
			t.Logf("%v, %d diagnostics", time.Since(start), len(diags))
		})
	}
}

func TestNearest(t *testing.T) {
	known := []string{"timeout", "within", "open", "name", "min_interval", "max_interval"}
	for s, want := range map[string]string{
		"Timeout": "timeout", "TIMEOUT": "timeout", "timeuot": "timeout", "timout": "timeout", "time-out": "timeout",
		"opne": "open", "min-interval": "min_interval", "max_intervall": "max_interval",
		"": "", "xyz": "", "op": "", "timer": "", "a": "",
	} {
		if got := nearest(s, known); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
