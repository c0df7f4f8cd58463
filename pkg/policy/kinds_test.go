package policy

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"nftknock/pkg/tomlpos"
)

// Each kind asks for the keys that it is said to have, and for no other.
func TestKindsReadTheirKeys(t *testing.T) {
	for _, kind := range kinds {
		var diags Diagnostics
		d := &document{lines: tomlpos.NewLines(""), diags: &diags}
		table := &table{doc: d, node: &tomlpos.Node{}, values: map[string]any{"knock": string(kind)}}
		readAccess(table)
		want := slices.Clone(commonKeys)
		for _, k := range kindKeys {
			if slices.Contains(k.of, kind) {
				want = append(want, k.name)
			}
		}
		got := slices.Clone(table.known)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s reads %q, want %q", kind, got, want)
		}
	}
}

// The readers of the sections ask for the keys that they are said to have, and for no
// other.
func TestSectionsReadTheirKeys(t *testing.T) {
	var got []string
	for _, name := range sectionNames {
		// What a section does not know it lists, with what it knows.
		text := "[" + name + "]\n\"?\" = 1\n"
		_, diags := Parse("x", []byte(text))
		_, list, ok := strings.Cut(diags[0].Hint, "known here: ")
		if !ok {
			t.Fatalf("%s: %v", name, diags)
		}
		got = append(got, strings.Split(list, ", ")...)
	}
	want := slices.Clone(sectionKeys)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the sections read %q, want %q", got, want)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(keysOfKinds(), commonKeys...) {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("%s is not in docs/policy.md", key)
		}
	}
}

// What is installed as a sample hides and opens nothing until somebody has edited it.
func TestTheSampleEnablesNothing(t *testing.T) {
	p, diags := Check("../../deploy/nftknockd.toml", Review{TextOnly: true})
	if len(diags) != 1 || diags[0].Code != CodeNothingEnabled {
		t.Errorf("diagnostics %v, want one that says that nothing is enabled", diags)
	}
	if p == nil || slices.ContainsFunc(p.Accesses, func(a Access) bool { return a.Enabled }) {
		t.Error("an access of the sample is enabled")
	}
}

// TestSampleExamplesAreSound takes the comment sign from the lines of the sample
// that have it right before a key or a table; prose has a blank there.
func TestSampleExamplesAreSound(t *testing.T) {
	f, err := os.Open("../../deploy/nftknockd.toml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text strings.Builder
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if example, ok := strings.CutPrefix(line, "#"); ok && example != "" && example[0] != ' ' {
			line = example
		}
		text.WriteString(line + "\n")
	}
	p, diags := Parse("nftknockd.toml", []byte(strings.Replace(text.String(), "enabled = false", "enabled = true", 1)))
	if len(diags) != 1 || diags[0].Code != CodePublished {
		t.Fatalf("diagnostics %v, want one about the sequence, which everyone can read", diags)
	}
	for _, kind := range kinds {
		if !slices.ContainsFunc(p.Accesses, func(a Access) bool { return a.Enabled && a.Kind == kind }) {
			t.Errorf("no example of knock %q", kind)
		}
	}
}
