package plan

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"

	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// RestartKeys are the settings that a running daemon cannot change without losing half-done
// knocks, grants, its control socket or the format of its log.
var RestartKeys = []string{
	"[nflog] group", "[nflog] workers", "[nftables] table", "[nftables] owner", "[nftables] label",
	"[state] dir", "[log] format", "[metrics] listen", "[control] socket",
}

// NeedsRestart returns the settings in which two policies differ, and that only a restart can
// change.
func NeedsRestart(before, after *policy.Policy) []string {
	was, is := before.Settings(), after.Settings()
	return slices.DeleteFunc(slices.Clone(RestartKeys), func(key string) bool { return was[key] == is[key] })
}

// A Print of a plan tells whether another is the same. It has no key and no sequence, but
// digests of accesses.
type Print struct {
	Salt      []byte                `json:"salt"`
	Settings  map[string]string     `json:"settings"`
	Databases string                `json:"databases"` // a digest of the signature files
	Names     []string              `json:"names"`     // of the accesses, in order
	Accesses  []policy.AccessDigest `json:"accesses"`
	// Of what is hidden.
	Hidden     []string `json:"hidden"`
	Interfaces []string `json:"interfaces"`
}

// Print returns the print of a plan under a salt that nobody can guess.
func (p *Plan) Print(salt []byte) Print {
	f := Print{Salt: salt, Settings: p.Policy.Settings(), Databases: p.databases, Interfaces: p.Policy.NFTables.Interfaces}
	for i := range p.Policy.Accesses {
		a := &p.Policy.Accesses[i]
		f.Names, f.Accesses = append(f.Names, a.Name), append(f.Accesses, a.Digest(salt))
	}
	// One by one: what overlaps would be more than one service may be.
	for _, s := range distinct(p.Policy.Hidden()) {
		f.Hidden = append(f.Hidden, s.String())
	}
	return f
}

// What a daemon needs for a policy.
const (
	NeedsNothing = "nothing"
	Reload       = "reload"
	Restart      = "restart"
)

// A Difference says what a running daemon needs for another policy.
type Difference struct {
	Needs   string   // NeedsNothing, Reload or Restart
	Changed []string // the settings and accesses that differ
	Opened  Opened
	// Unread are the accesses that are the same but for keys that one side has not read.
	Unread []string
}

// Compare compares a running plan with another one.
func (f Print) Compare(next *Plan) Difference {
	d := Difference{Needs: NeedsNothing, Opened: OpenedBy(f.policy(), next.Policy)}
	is := next.Policy.Settings()
	for _, key := range sortedKeys(f.Settings, is) {
		if f.Settings[key] == is[key] {
			continue
		}
		d.Changed = append(d.Changed, key)
		d.need(key)
	}
	if f.Databases != digestFiles(next.Policy.Fingerprint.Databases) && f.Settings[databasesKey] == is[databasesKey] {
		d.Changed = append(d.Changed, "a file of "+databasesKey)
		d.Needs = max(d.Needs, Reload)
	}
	f.compareAccesses(&d, next)
	return d
}

const databasesKey = "[fingerprint] databases"

// need notes what a changed setting takes. The words of what is needed are in the order of
// the alphabet.
func (d *Difference) need(key string) {
	needs := Reload
	if slices.Contains(RestartKeys, key) {
		needs = Restart
	}
	d.Needs = max(d.Needs, needs)
}

func (f Print) compareAccesses(d *Difference, next *Plan) {
	was := make(map[string]policy.AccessDigest)
	for i, name := range f.Names {
		was[name] = f.Accesses[i]
	}
	var names []string
	before := len(d.Changed)
	for i := range next.Policy.Accesses {
		a := &next.Policy.Accesses[i]
		names = append(names, a.Name)
		old, ok := was[a.Name]
		is := a.Digest(f.Salt)
		switch {
		case !ok:
			d.Changed = append(d.Changed, fmt.Sprintf("access %q, which is new", a.Name))
		case old.Text != is.Text:
			d.Changed = append(d.Changed, fmt.Sprintf("access %q", a.Name))
		case old.Keys != "" && is.Keys != "" && old.Keys != is.Keys:
			d.Changed = append(d.Changed, fmt.Sprintf("the key of access %q", a.Name))
		case old.Keys != is.Keys:
			d.Unread = append(d.Unread, a.Name)
		}
		delete(was, a.Name)
	}
	for _, name := range f.Names {
		if _, ok := was[name]; ok {
			d.Changed = append(d.Changed, fmt.Sprintf("access %q, which is removed", name))
		}
	}
	if len(d.Changed) == before && !slices.Equal(names, f.Names) {
		d.Changed = append(d.Changed, "the order of the accesses")
	}
	if len(d.Changed) > before {
		d.Needs = max(d.Needs, Reload)
	}
}

// policy is what OpenedBy needs to know of the policy before.
func (f Print) policy() *policy.Policy {
	p := new(policy.Policy)
	p.NFTables.Interfaces = f.Interfaces
	p.NFTables.Table, p.NFTables.Mode = unquoted(f.Settings["[nftables] table"]), policy.Mode(unquoted(f.Settings["[nftables] mode"]))
	for _, s := range f.Hidden {
		if r, err := port.ParseService(s); err == nil {
			p.NFTables.Protect = append(p.NFTables.Protect, r)
		}
	}
	return p
}

// unquoted removes the quotes of a TOML string of a word, which has no escapes.
func unquoted(s string) string {
	if len(s) < 2 {
		return s
	}
	return s[1 : len(s)-1]
}

func sortedKeys(a, b map[string]string) []string {
	keys := make(map[string]bool)
	for _, m := range []map[string]string{a, b} {
		for k := range m {
			keys[k] = true
		}
	}
	list := make([]string, 0, len(keys))
	for k := range keys {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// digestFiles returns a digest of the contents of signature files, and "" without any. A file
// that cannot be read counts as empty: whoever loads it has an error.
func digestFiles(databases []string) string {
	h := sha256.New()
	n := 0
	for _, name := range databases {
		if name == policy.Builtin {
			continue
		}
		n++
		fmt.Fprintf(h, "%q", name)
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		_, _ = io.Copy(h, io.LimitReader(f, maxDatabase)) // a file that cannot be read has another digest
		_ = f.Close()
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// maxDatabase is how much of a signature file is compared.
const maxDatabase = 64 << 20
