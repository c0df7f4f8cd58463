package policy

import (
	"net/netip"
	"slices"
	"strings"

	"nftknock/pkg/invalid"
	"nftknock/pkg/wording"
)

// SourceFilter says which addresses may knock: those in Include that are not
// in Exclude, whatever the order they were written in. The zero value contains no
// address. Prefixes are masked, without zones, and never IPv4-mapped.
type SourceFilter struct {
	Include, Exclude []netip.Prefix
}

var (
	all4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	all6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// Anyone returns the filter that "any" stands for.
func Anyone() SourceFilter { return SourceFilter{Include: []netip.Prefix{all4, all6}} }

// sourceItem is what one string of "source" says.
type sourceItem struct {
	exclude  bool
	prefixes []netip.Prefix
}

// newSourceFilter makes a filter of its items. A filter that contains no address is an
// error.
func newSourceFilter(items []sourceItem) (SourceFilter, error) {
	var f SourceFilter
	for _, i := range items {
		if i.exclude {
			f.Exclude = append(f.Exclude, i.prefixes...)
		} else {
			f.Include = append(f.Include, i.prefixes...)
		}
	}
	if err := f.check(); err != nil {
		return SourceFilter{}, err
	}
	return f, nil
}

// check refuses filters that contain no address.
func (f SourceFilter) check() error {
	switch {
	case len(f.Include)+len(f.Exclude) == 0:
		return invalid.New("source is empty, so nobody may knock", `addresses, prefixes or "any"`)
	case len(f.Include) == 0:
		return invalid.New("source only excludes, so nobody may knock", `an entry without "!" too, such as "any"`)
	}
	// Exclusions that cover an inclusion only together are not found: to add prefixes
	// up is more than a likely mistake is worth.
	for _, p := range f.Include {
		if !coveredBy(p, f.Exclude) {
			return nil
		}
	}
	return invalid.New("source excludes all that it includes, so nobody may knock", "an address that may knock")
}

// coveredBy reports whether one of the prefixes holds all of p.
func coveredBy(p netip.Prefix, by []netip.Prefix) bool {
	return slices.ContainsFunc(by, func(q netip.Prefix) bool {
		return q.Bits() <= p.Bits() && q.Contains(p.Addr())
	})
}

// parseSourceItem reads an address, a prefix or "any", or one of the first two behind
// "!" to exclude it. Prefixes must be canonical: 10.0.0.0/8 and not 10.0.0.1/8.
func parseSourceItem(s string) (sourceItem, error) {
	if s == "any" {
		return sourceItem{prefixes: Anyone().Include}, nil
	}
	text, exclude := strings.CutPrefix(s, "!")
	if text == "any" {
		return sourceItem{}, invalid.New(`source "!any" excludes everyone`, `an address or a prefix behind "!"`)
	}
	p, err := parsePrefix(text)
	if err != nil {
		return sourceItem{}, err
	}
	return sourceItem{exclude, []netip.Prefix{p}}, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	bad := invalid.Newf(`an address, a prefix such as 10.0.0.0/8, or "any"; "!" in front excludes`, "bad source %s", quote(s))
	if strings.Contains(s, "%") {
		return netip.Prefix{}, invalid.Newf(`the address without "%" and what follows it; nftables.interfaces chooses interfaces`, "source %s has a zone", quote(s))
	}
	// netip.ParsePrefix refuses an address alone, so the two are told apart first.
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, bad
		}
		if a.Is4In6() {
			return netip.Prefix{}, invalid.Newf(a.Unmap().String(), "source %s is an IPv4 address in IPv6 form", quote(s))
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, bad
	case p.Addr().Is4In6():
		// IPv4 addresses are the last 32 bits of ::ffff:0:0/96 (RFC 4291, 2.5.5.2).
		v4 := netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0)).Masked()
		return netip.Prefix{}, invalid.Newf(v4.String(), "source %s is an IPv4 prefix in IPv6 form", quote(s))
	case p != p.Masked():
		// Either the length or the address is a typing error, and nothing tells which.
		return netip.Prefix{}, invalid.Newf(p.Masked().String()+", or "+p.Addr().String()+" for the one address", "source %s has bits set behind the prefix", quote(s))
	}
	return p, nil
}

// Contains reports whether packets from a may knock. An IPv4-mapped address
// counts as the IPv4 address it holds, and a zone does not count. It does not
// allocate.
func (f SourceFilter) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return contains(f.Include, a) && !contains(f.Exclude, a)
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// overlaps reports whether both filters contain some address. The answer is true by
// mistake where only several exclusions together cover what both include.
func (f SourceFilter) overlaps(g SourceFilter) bool {
	for _, p := range f.Include {
		for _, q := range g.Include {
			if !p.Overlaps(q) {
				continue
			}
			// Two prefixes overlap only if one holds the other: the smaller one is
			// the intersection.
			if q.Bits() < p.Bits() {
				q = p
			}
			if !coveredBy(q, f.Exclude) && !coveredBy(q, g.Exclude) {
				return true
			}
		}
	}
	return false
}

// Strings returns the items of a policy's source that make this filter.
func (f SourceFilter) Strings() []string {
	var out []string
	for rest := f.Include; len(rest) > 0; {
		// "any" was read as these two, in this order.
		if len(rest) > 1 && rest[0] == all4 && rest[1] == all6 {
			out, rest = append(out, "any"), rest[2:]
			continue
		}
		out, rest = append(out, wording.Prefix(rest[0])), rest[1:]
	}
	for _, p := range f.Exclude {
		out = append(out, "!"+wording.Prefix(p))
	}
	return out
}
