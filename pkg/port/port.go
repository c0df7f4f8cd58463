// Package port is the one way in which this project writes a protocol with its
// ports: what an access opens, what a knock goes to, and what a rule of the table
// looks for.
package port

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"nftknock/pkg/invalid"
	"nftknock/pkg/packet"
)

// A Range is one port of TCP or UDP ("tcp/22"), several neighbouring ones
// ("tcp/8000-8010"), or the echo requests of ICMP ("icmp"), which have no ports:
// both are 0 then. Ranges can be compared with == and used as keys of a map.
type Range struct {
	Protocol    packet.Protocol
	First, Last uint16 // inclusive; equal for a single port
}

// Echo stands for echo requests: ICMP's over IPv4, ICMPv6's over IPv6.
var Echo = Range{Protocol: packet.ICMP}

// Single returns the range of one port.
func Single(p packet.Protocol, n uint16) Range { return Range{p, n, n} }

// ParseService reads what can be opened: a port or a range of TCP or UDP, in the
// form that String returns. With an error, an *invalid.Error, the Range is zero.
func ParseService(s string) (Range, error) {
	const want = "tcp/PORT, udp/PORT or a range such as tcp/8000-8010"
	protocol, ports, ok := cut(s)
	if !ok {
		return Range{}, invalid.Newf(want, "bad service %q", s)
	}
	first, last, several := strings.Cut(ports, "-")
	if !several {
		last = first
	}
	r := Range{Protocol: protocol}
	var ok1, ok2 bool
	r.First, ok1 = parseNumber(first)
	r.Last, ok2 = parseNumber(last)
	switch {
	case !ok1 || !ok2:
		return Range{}, invalid.Newf("1 to 65535", "bad port in service %q", s)
	case r.First > r.Last || several && r.First == r.Last:
		return Range{}, invalid.Newf("the first port below the last", "bad range in service %q", s)
	}
	return r, nil
}

// ParseKnock reads one step of a knock sequence: a port of TCP or UDP, or "icmp".
// With an error, an *invalid.Error, the Range is zero.
func ParseKnock(s string) (Range, error) {
	if s == Echo.String() {
		return Echo, nil
	}
	protocol, number, ok := cut(s)
	if !ok {
		return Range{}, invalid.Newf("tcp/PORT, udp/PORT or icmp", "bad knock %q", s)
	}
	n, ok := parseNumber(number)
	if !ok {
		return Range{}, invalid.Newf("1 to 65535", "bad port in knock %q", s)
	}
	return Single(protocol, n), nil
}

// cut takes "tcp/..." or "udp/..." apart.
func cut(s string) (p packet.Protocol, ports string, ok bool) {
	name, ports, _ := strings.Cut(s, "/")
	switch name {
	case "tcp":
		return packet.TCP, ports, true
	case "udp":
		return packet.UDP, ports, true
	}
	return 0, "", false
}

// parseNumber reads a port number without sign and leading zeros.
func parseNumber(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n != 0 && s[0] != '0'
}

// AnyPort is what ParsePorts reads for all ports.
const AnyPort = "any"

// ParsePorts reads neighbouring ports of no protocol in particular: "10000-65535", or "any"
// for 1 to 65535. With an error, an *invalid.Error, both are 0.
func ParsePorts(s string) (first, last uint16, err error) {
	const want = `"any" or a range such as "10000-65535"`
	if s == AnyPort {
		return 1, 65535, nil
	}
	a, b, several := strings.Cut(s, "-")
	first, ok1 := parseNumber(a)
	last, ok2 := parseNumber(b)
	if !several || !ok1 || !ok2 || first >= last {
		return 0, 0, invalid.Newf(want, "bad ports %q", s)
	}
	return first, last, nil
}

// JoinPorts writes several neighbouring ports as ParsePorts reads them.
func JoinPorts(first, last uint16) string {
	if first == 1 && last == 65535 {
		return AnyPort
	}
	return strconv.Itoa(int(first)) + "-" + strconv.Itoa(int(last))
}

// String returns the form that ParseService and ParseKnock read.
func (r Range) String() string {
	switch {
	case r == Echo:
		return "icmp"
	case r.First == r.Last:
		return r.Protocol.String() + "/" + strconv.Itoa(int(r.First))
	}
	return r.Protocol.String() + "/" + strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// CheckService reports a Range that ParseService would not return.
func (r Range) CheckService() error {
	switch {
	case r.Protocol != packet.TCP && r.Protocol != packet.UDP:
		return invalid.Newf("tcp or udp", "bad service %q", r)
	case r.First == 0 || r.First > r.Last:
		return invalid.Newf("ports 1 to 65535 in order", "bad service %q", r)
	}
	return nil
}

// Ports is the number of ports of a range that is not Echo.
func (r Range) Ports() int { return int(r.Last) - int(r.First) + 1 }

// At is the nth port of a range, from 0.
func (r Range) At(n int) Range { return Single(r.Protocol, r.First+uint16(n)) }

// Has reports whether a port is in the range.
func (r Range) Has(p packet.Protocol, n uint16) bool {
	return r.Protocol == p && r.First <= n && n <= r.Last
}

// Covers reports whether all of s is in r.
func (r Range) Covers(s Range) bool {
	return r.Protocol == s.Protocol && r.First <= s.First && s.Last <= r.Last
}

// Common is what two ranges have in common, if anything.
func (r Range) Common(s Range) (both Range, ok bool) {
	both = Range{r.Protocol, max(r.First, s.First), min(r.Last, s.Last)}
	return both, r.Protocol == s.Protocol && both.First <= both.Last
}

// Overlaps reports whether two ranges have a port in common.
func (r Range) Overlaps(s Range) bool {
	_, ok := r.Common(s)
	return ok
}

// Compare orders by protocol, then by the first port, then by the last.
func Compare(a, b Range) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}

// Normal returns the same ports in order, with ranges that overlap joined.
// Neighbours that do not overlap stay apart, as they were written.
func Normal(ranges []Range) []Range {
	var joined []Range
	for _, r := range slices.SortedFunc(slices.Values(ranges), Compare) {
		if n := len(joined); n > 0 && joined[n-1].Overlaps(r) {
			joined[n-1].Last = max(joined[n-1].Last, r.Last)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// CoverAll reports whether every port of r is in one of some ranges.
func CoverAll(ranges []Range, r Range) bool {
	next := int(r.First) // of the ports that are still to be found
	for _, s := range Normal(ranges) {
		if s.Protocol == r.Protocol && int(s.First) <= next && next <= int(s.Last) {
			next = int(s.Last) + 1
		}
	}
	return next > int(r.Last)
}

// Subtract returns the ports of some ranges that are in none of others, in order. Ranges that
// overlap are joined first, as Normal does.
func Subtract(ranges, others []Range) []Range {
	var rest []Range
	others = Normal(others)
	for _, r := range Normal(ranges) {
		next := int(r.First)
		for _, o := range others {
			if o.Protocol != r.Protocol || int(o.Last) < next || o.First > r.Last {
				continue
			}
			if next < int(o.First) {
				rest = append(rest, Range{r.Protocol, uint16(next), o.First - 1})
			}
			next = int(o.Last) + 1 // may be 65536
		}
		if next <= int(r.Last) {
			rest = append(rest, Range{r.Protocol, uint16(next), r.Last})
		}
	}
	return rest
}

// Join writes several ranges, separated by commas.
func Join(ranges []Range) string {
	words := make([]string, len(ranges))
	for i, r := range ranges {
		words[i] = r.String()
	}
	return strings.Join(words, ",")
}
