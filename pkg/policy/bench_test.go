package policy

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// numberedKey is a key of 32 bytes that depends on n.
func numberedKey(n int) string {
	var raw [32]byte
	binary.BigEndian.PutUint64(raw[:], uint64(n))
	return "base64:" + base64.StdEncoding.EncodeToString(raw[:])
}

// manyAccesses are ways to write many accesses, by what is expensive about them.
var manyAccesses = map[string]func(n int) string{
	"shared": func(i int) string { return access(fmt.Sprintf("n%d", i), i-5000) },
	// All knock alike, each from an address of its own.
	"one sequence": func(i int) string {
		return fmt.Sprintf("%ssource = [\"10.%d.%d.%d\"]\n", access(fmt.Sprintf("n%d", i), 1), i>>16, i>>8&0xff, i&0xff)
	},
	"keys in the policy": func(i int) string {
		return fmt.Sprintf("[[access]]\nname = \"n%d\"\nknock = \"encrypted\"\nkey = %q\nrequire_user = [\"u%d\"]\nopen = [\"tcp/22\"]\n", i, numberedKey(i), i)
	},
	"one line": func(i int) string {
		open, end := ", ", ""
		if i == 0 {
			open = "access = ["
		}
		return fmt.Sprintf("%s{ name = \"n%d\", knock = \"totp\", key_file = \"/x\", open = [\"tcp/22\"] }%s", open, i, end)
	},
}

func BenchmarkParse(b *testing.B) {
	for name, write := range manyAccesses {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var text strings.Builder
				for i := range n {
					text.WriteString(write(i))
				}
				if name == "one line" {
					text.WriteString("]\n")
				}
				for b.Loop() {
					if p, diags := Parse("x", []byte(text.String())); p == nil || len(p.Accesses) != n {
						b.Fatal(diags[0])
					}
				}
			})
		}
	}
}

func BenchmarkLoadKeyFiles(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			var text strings.Builder
			for i := range n {
				path := filepath.Join(dir, fmt.Sprint(i))
				if err := os.WriteFile(path, []byte(numberedKey(i)+"\n"), 0o600); err != nil {
					b.Fatal(err)
				}
				fmt.Fprintf(&text, "[[access]]\nname = \"n%d\"\nknock = \"encrypted\"\nkey_file = %q\nopen = [\"tcp/22\"]\n", i, path)
			}
			main := filepath.Join(dir, "main.toml")
			if err := os.WriteFile(main, []byte(text.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if p, diags := Load(main); p == nil || len(p.Accesses) != n {
					b.Fatal(diags[0])
				}
			}
		})
	}
}
