package policy

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// WriteTOML writes the policy with every default filled in, as a policy file, without
// keys: a comment stands in the place of one that was in the policy itself. Without
// such keys, Parse reads the same policy back.
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
	fmt.Fprintf(w, "\n[nftables]\ntable = %s\nmode = %s\nhide = %s\ninterfaces = %s\nprotect = %s\nowner = %s\nlabel = %d\n",
		tomlString(n.Table), tomlString(n.Mode), tomlString(n.Hide), tomlList(n.Interfaces), tomlList(texts(n.Protect)), tomlString(n.Owner), n.Label)
	for _, s := range []struct{ key, name string }{{"set4", n.Set4.String()}, {"set6", n.Set6.String()}} {
		if s.name != "" {
			fmt.Fprintf(w, "%s = %s\n", s.key, tomlString(s.name))
		}
	}
	if n.Mark != 0 {
		fmt.Fprintf(w, "mark = \"%#x\"\n", n.Mark)
	}
	fmt.Fprintf(w, "\n[fingerprint]\ndatabases = %s\n", tomlList(p.Fingerprint.Databases))
	fmt.Fprintf(w, "\n[engine]\nmax_sources = %d\ntripwires = %d\n", p.Engine.MaxSources, p.Engine.Tripwires)
	fmt.Fprintf(w, "\n[state]\ndir = %s\n", tomlString(p.State.Dir))
	fmt.Fprintf(w, "\n[log]\nformat = %s\nlevel = %s\n", tomlString(p.Log.Format), tomlString(p.Log.Level))
	fmt.Fprintf(w, "\n[metrics]\nlisten = %s\n", tomlString(p.Metrics.Listen))
	fmt.Fprintf(w, "\n[control]\nsocket = %s\n", tomlString(p.Control.Socket))
}

func (a *Access) write(w io.Writer) {
	fmt.Fprintf(w, "\n[[access]]\nname = %s\nenabled = %t\n", tomlString(a.Name), a.Enabled)
	fmt.Fprintf(w, "source = %s\nknock = %s\n", tomlList(a.Source.Strings()), tomlString(a.Kind))
	a.writeKnock(w)
	fmt.Fprintf(w, "open = %s\n", tomlList(texts(a.Open)))
	writeDuration(w, "timeout", a.Timeout)
	// 0 is not a limit that can be written, so its absence is a comment.
	if a.Limit != 0 {
		fmt.Fprintf(w, "limit = %d\n", a.Limit)
	} else {
		fmt.Fprintf(w, "# limit: none\n")
	}
	fmt.Fprintf(w, "single_use = %t\nprefix4 = %d\nprefix6 = %d\n", a.SingleUse, cmp.Or(a.Prefix4, 32), cmp.Or(a.Prefix6, 128))
	a.writeForward(w)
	if a.Kind != KindSPA {
		a.writeOS(w)
	}
	if !a.Expires.IsZero() {
		// In UTC, so that it means the same on every host.
		fmt.Fprintf(w, "expires = %s\n", a.Expires.UTC().Format(time.RFC3339Nano))
	} else {
		fmt.Fprintf(w, "# expires: never\n")
	}
}

// writeKnock writes the keys of the kind of the access.
func (a *Access) writeKnock(w io.Writer) {
	switch a.Kind {
	case KindShared:
		fmt.Fprintf(w, "sequence = %s\n", tomlList(texts(a.Sequence)))
		writeDuration(w, "min_interval", a.MinInterval)
		writeDuration(w, "max_interval", a.MaxInterval)
		writeDuration(w, "within", a.Within)
		writeDuration(w, "reorder", a.Reorder)
	case KindEncrypted:
		fmt.Fprintf(w, "encoding = %s\n", tomlString(a.Encoding))
		a.writeKeys(w)
		a.writeRange(w)
		if a.Encoding == EncodingSIV {
			writeDuration(w, "window", a.Window)
		}
		a.writeMessage(w)
	case KindTOTP:
		a.writeKeys(w)
		fmt.Fprintf(w, "algorithm = %s\n", tomlString(a.Algorithm.String()))
		a.writeRange(w)
		fmt.Fprintf(w, "max_attempts = %d\n", a.MaxAttempts)
	case KindSPA:
		a.writeKeys(w)
		a.writeSPA(w)
		a.writeMessage(w)
	}
}

// writeKeys writes where the keys are, and no key.
func (a *Access) writeKeys(w io.Writer) {
	slots := a.keySlots()
	// Without an HMAC there is no second key to write of. Of an access whose keys were
	// withheld nobody knows.
	if a.Kind == KindSPA && !a.authenticated() && !a.Withheld {
		slots = slots[:1]
	}
	for _, s := range slots {
		switch {
		case *s.file != "":
			fmt.Fprintf(w, "%s = %s\n", s.fileKey(), tomlString(*s.file))
		case *s.credential != "":
			fmt.Fprintf(w, "%s = %s\n", s.credentialKey(), tomlString(*s.credential))
		case isKept(w):
			fmt.Fprintf(w, "%s = true\n", s.withheldKey())
		default:
			fmt.Fprintf(w, "# %s: set in the policy, not shown\n", s.name)
		}
	}
}

// writeRange writes what knocks that speak in ports have in common.
func (a *Access) writeRange(w io.Writer) {
	fmt.Fprintf(w, "port_base = %d\nprotocol = %s\n", a.PortBase, tomlString(a.Protocol))
	writeDuration(w, "within", a.Within)
}

func (a *Access) writeSPA(w io.Writer) {
	if a.authenticated() {
		fmt.Fprintf(w, "hmac = %s\n", tomlString(a.HMAC.String()))
	}
	fmt.Fprintf(w, "allow_unauthenticated = %t\n", a.AllowUnauthenticated)
	fmt.Fprintf(w, "cipher = %s\nprotocol = %s\n", tomlString(a.Cipher.String()), tomlString(a.Protocol))
	switch {
	case a.Protocol == ProtocolICMP:
		// Parse warns of a port.
	case a.LastPort != 0:
		fmt.Fprintf(w, "port = %s\n", tomlString(port.JoinPorts(a.Port, a.LastPort)))
	default:
		fmt.Fprintf(w, "port = %d\n", a.Port)
	}
	writeDuration(w, "window", a.Window)
	writeDuration(w, "max_timeout", a.MaxTimeout)
}

// writeMessage writes what knocks that carry a message have in common.
func (a *Access) writeMessage(w io.Writer) {
	if a.RequireUser != nil {
		fmt.Fprintf(w, "require_user = %s\n", tomlList(a.RequireUser))
	} else {
		fmt.Fprintf(w, "# require_user: none\n")
	}
	fmt.Fprintf(w, "allow_other_address = %t\n", a.AllowOtherAddress)
}

func (a *Access) writeOS(w io.Writer) {
	if a.RequireOS != nil {
		fmt.Fprintf(w, "require_os = %s\n", tomlString(strings.TrimPrefix(a.RequireOS.String(), ignoreCase)))
	} else {
		fmt.Fprintf(w, "# require_os: none\n")
	}
	// Parse warns of it where it has no effect.
	if a.RequireOS != nil || a.OSConfidence != ConfidenceHigh {
		fmt.Fprintf(w, "os_confidence = %s\n", tomlString(a.OSConfidence))
	}
}

func writeDuration(w io.Writer, key string, d time.Duration) {
	fmt.Fprintf(w, "%s = %s\n", key, tomlString(wording.Duration(d)))
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
		// Control characters are escaped in basic strings (TOML, section "String").
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
