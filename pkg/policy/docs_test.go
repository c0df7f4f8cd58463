package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nftknock/pkg/port"
)

func TestEveryCodeIsDocumented(t *testing.T) {
	source, err := os.ReadFile("diagnostic.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code = "(\w+)"`).FindAllSubmatch(source, -1)
	if len(codes) == 0 {
		t.Fatal("no codes")
	}
	for _, c := range codes {
		if !strings.Contains(string(docs), "\n| `"+string(c[1])+"` | ") {
			t.Errorf("%s is not in docs/commands.md", c[1])
		}
	}
}

// Whoever copies a sequence from these pages is warned.
func TestEverySequenceOfTheDocumentationIsCalledPublished(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(files, "../../README.md", "../../deploy/nftknockd.toml", "shared.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range regexp.MustCompile(`(?m)sequence = \[(.*?)\]|^ +nftknock \S+((?: (?:tcp|udp)/\d+| icmp)+)|^ +[\d.]+: ((?:(?:tcp|udp)/\d+|icmp)[^\n]*)`).FindAllStringSubmatch(string(text), -1) {
			var ports []string
			for _, el := range regexp.MustCompile(`(?:tcp|udp)/\d+`).FindAllString(strings.Join(s[1:], " "), -1) {
				ports = append(ports, tomlString(el))
			}
			if len(ports) < 2 {
				continue
			}
			found++
			_, diags := Parse("x", []byte("[[access]]\nname = \"x\"\nopen = [\"tcp/22\"]\nsequence = ["+strings.Join(ports, ", ")+"]\n"))
			if !strings.Contains(diags.Error(), "are those of a published example") {
				t.Errorf("%s: %v: %v", file, ports, diags)
			}
		}
	}
	if found < 6 {
		t.Errorf("%d sequences found: does the pattern still match?", found)
	}
}

// Each bit of publishedBy stands for one example.
func TestPublished(t *testing.T) {
	if len(published) > 64 {
		t.Fatalf("%d examples, and there are 64 bits", len(published))
	}
	for _, p := range published {
		for _, n := range p.ports {
			if _, err := port.ParseKnock(port.Single(6, n).String()); err != nil {
				t.Errorf("%s: %d: %v", p.where, n, err)
			}
		}
	}
}
