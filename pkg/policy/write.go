package policy

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteTOML writes the policy with every default filled in, in the form of a
// policy file. Parse makes an equal Policy of it.
func (p *Policy) WriteTOML(w io.Writer) error {
	b := bufio.NewWriter(w)
	p.writeSections(b)
	for i := range p.Accesses {
		p.Accesses[i].write(b)
	}
	return b.Flush()
}

func (p *Policy) writeSections(w io.Writer) {
	fmt.Fprintf(w, "[nflog]\ngroup = %d\nworkers = %d\n", p.NFLog.Group, p.NFLog.Workers)
	n := p.NFTables
	fmt.Fprintf(w, "\n[nftables]\ntable = %s\nmode = %s\nhide = %s\ninterfaces = %s\nowner = %s\n",
		tomlString(n.Table), tomlString(n.Mode), tomlString(n.Hide), tomlList(n.Interfaces), tomlString(n.Owner))
	fmt.Fprintf(w, "\n[fingerprint]\ndatabases = %s\n", tomlList(p.Fingerprint.Databases))
	fmt.Fprintf(w, "\n[engine]\nmax_sources = %d\ntripwires = %d\n", p.Engine.MaxSources, p.Engine.Tripwires)
	fmt.Fprintf(w, "\n[log]\nformat = %s\nlevel = %s\n", tomlString(p.Log.Format), tomlString(p.Log.Level))
	fmt.Fprintf(w, "\n[control]\nsocket = %s\n", tomlString(p.Control.Socket))
}

func (a *Access) write(w io.Writer) {
	fmt.Fprintf(w, "\n[[access]]\nname = %s\nenabled = %t\n", tomlString(a.Name), a.Enabled)
	fmt.Fprintf(w, "source = %s\nknock = %s\n", tomlList(a.Source.Strings()), tomlString(a.Knock))
	fmt.Fprintf(w, "sequence = %s\nopen = %s\n", tomlList(texts(a.Sequence)), tomlList(texts(a.Open)))
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"timeout", a.Timeout}, {"min_interval", a.MinInterval}, {"max_interval", a.MaxInterval},
		{"within", a.Within}, {"reorder", a.Reorder},
	} {
		fmt.Fprintf(w, "%s = %s\n", d.key, tomlString(short(d.value)))
	}
	if a.RequireOS != nil {
		fmt.Fprintf(w, "require_os = %s\n", tomlString(strings.TrimPrefix(a.RequireOS.String(), ignoreCase)))
	} else {
		fmt.Fprintf(w, "# require_os: none\n")
	}
	// Parse warns of it where it has no effect.
	if a.RequireOS != nil || a.OSConfidence != defaultAccess().OSConfidence {
		fmt.Fprintf(w, "os_confidence = %s\n", tomlString(a.OSConfidence))
	}
	if !a.Expires.IsZero() {
		fmt.Fprintf(w, "expires = %s\n", a.Expires.UTC().Format(time.RFC3339Nano))
	} else {
		fmt.Fprintf(w, "# expires: never\n")
	}
}

// Equal reports whether two accesses are the same but for the place where they
// are written.
func (a *Access) Equal(b *Access) bool {
	var x, y strings.Builder
	a.write(&x)
	b.write(&y)
	return x.String() == y.String()
}

func texts[T fmt.Stringer](items []T) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = item.String()
	}
	return out
}

func tomlList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = tomlString(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// tomlString writes a basic string of TOML.
func tomlString[S ~string](s S) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range string(s) {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
