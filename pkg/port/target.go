package port

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nftknock/pkg/invalid"
)

// A Target is where packets to a forwarded port go: a port of a host, or of this host at
// the address that was dialled if Addr is the zero Addr. The zero Target is none. Targets
// can be compared with ==.
type Target struct {
	Addr netip.Addr
	Port uint16
}

// local stands for this host in a target.
const local = "local"

// Equal is ==. Package go-cmp, which cannot compare the Addr, asks for the method.
func (t Target) Equal(other Target) bool { return t == other }

// Local reports whether the target is a port of this host, whatever address was dialled.
func (t Target) Local() bool { return !t.Addr.IsValid() && t.Port != 0 }

// String returns the form that ParseTarget reads: "10.0.0.5:22", "[2001:db8::5]:22" or
// "local:22".
func (t Target) String() string {
	if !t.Addr.IsValid() {
		return local + ":" + strconv.Itoa(int(t.Port))
	}
	return netip.AddrPortFrom(t.Addr, t.Port).String()
}

// Check reports what makes a target one that no packet may be forwarded to, as an
// *invalid.Error.
func (t Target) Check() error {
	switch {
	case t.Port == 0:
		return invalid.Newf("1 to 65535", "bad port in target %q", t)
	case !t.Addr.IsValid():
		return nil
	}
	return checkTarget(t.Addr, t)
}

// checkTarget reports an address that names no host behind this one. what is quoted.
func checkTarget(a netip.Addr, what any) error {
	const want = "the address of a host"
	switch {
	case a.Zone() != "" || a.Is4In6():
		return invalid.Newf(`an address such as "10.0.0.5" or "2001:db8::5"`, "bad target %q", what)
	// To forward to them would drop the packets as martians, or reach what listens for
	// this host alone.
	case a.IsLoopback():
		return invalid.Newf(`"local:PORT" for a port of this host`, "bad target %q: a loopback address", what)
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return invalid.Newf(want, "bad target %q: no address of a host", what)
	case a.IsMulticast() || a.Is4() && a.As4()[0] >= 240: // 255.255.255.255 among them
		return invalid.Newf(want, "bad target %q: a multicast, broadcast or reserved address", what)
	// The metadata services of clouds have such addresses.
	case a.IsLinkLocalUnicast():
		return invalid.Newf(want, "bad target %q: a link-local address", what)
	}
	return nil
}

// ParseTarget reads one target, in the form that String returns. With an error, an
// *invalid.Error, the Target is zero.
func ParseTarget(s string) (Target, error) {
	t, err := ParseTargets(s)
	if err != nil {
		return Target{}, err
	}
	only, ok := t.only()
	if !ok {
		return Target{}, invalid.Newf("one address and one port, such as 10.0.0.5:22", "bad target %q", s)
	}
	return only, nil
}

// Targets are several of them: some ports of the hosts of a prefix, or of this host if
// Hosts is the zero Prefix.
type Targets struct {
	Hosts netip.Prefix
	Ports []Ports // in the order in which they were written
}

// Ports are neighbouring ports of no protocol in particular.
type Ports struct{ First, Last uint16 }

// Prefixes of targets that are shorter hold more than the network of one site.
const (
	leastTargetBits4 = 8
	leastTargetBits6 = 16
)

// ParseTargets reads targets: "10.0.0.5:22", "10.0.0.0/24:22,80", "[2001:db8::/64]:22",
// "local:22,8000-8010". With an error, an *invalid.Error, the Targets are zero.
func ParseTargets(s string) (Targets, error) {
	const want = "ADDRESS:PORT such as 10.0.0.5:22, 10.0.0.0/24:22,80, [2001:db8::5]:22 or local:22"
	hosts, ports, ok := cutTarget(s)
	if !ok {
		return Targets{}, invalid.Newf(want, "bad target %q", s)
	}
	var t Targets
	for _, item := range strings.Split(ports, ",") {
		p, ok := parsePortsItem(item)
		if !ok {
			return Targets{}, invalid.Newf("1 to 65535, or a range such as 8000-8010", "bad port %q in target %q", item, s)
		}
		t.Ports = append(t.Ports, p)
	}
	if hosts == local {
		return t, nil
	}
	var err error
	if t.Hosts, err = parseHosts(hosts, s); err != nil {
		return Targets{}, err
	}
	return t, nil
}

// cutTarget takes "HOSTS:PORTS" or "[HOSTS]:PORTS" apart.
func cutTarget(s string) (hosts, ports string, ok bool) {
	if strings.HasPrefix(s, "[") {
		hosts, ports, ok = strings.Cut(s[1:], "]:")
		return hosts, ports, ok && strings.Contains(hosts, ":")
	}
	hosts, ports, ok = strings.Cut(s, ":")
	return hosts, ports, ok && !strings.Contains(ports, ":")
}

// parseHosts reads the address or prefix of the targets in a text.
func parseHosts(hosts, text string) (netip.Prefix, error) {
	bad := invalid.Newf("an address such as 10.0.0.5 or [2001:db8::5], a prefix such as 10.0.0.0/24, or local; names are not resolved", "bad host %q in target %q", hosts, text)
	if !strings.Contains(hosts, "/") {
		a, err := netip.ParseAddr(hosts)
		if err != nil {
			return netip.Prefix{}, bad
		}
		if err := checkTarget(a, text); err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(hosts)
	least := leastTargetBits6
	if p.Addr().Is4() {
		least = leastTargetBits4
	}
	switch {
	case err != nil:
		return netip.Prefix{}, bad
	case p != p.Masked():
		return netip.Prefix{}, invalid.Newf(p.Masked().String(), "bad prefix in target %q: it has bits beyond its length", text)
	case p.Bits() < least:
		return netip.Prefix{}, invalid.Newf("a length of "+strconv.Itoa(least)+" or more", "bad prefix in target %q", text)
	}
	// Whether each address of it is one of a host is asked for when it is asked for.
	return p, checkTarget(p.Addr(), text)
}

func parsePortsItem(s string) (Ports, bool) {
	first, last, several := strings.Cut(s, "-")
	if !several {
		last = first
	}
	a, ok1 := parseNumber(first)
	b, ok2 := parseNumber(last)
	return Ports{a, b}, ok1 && ok2 && a <= b && (!several || a < b)
}

// String returns the form that ParseTargets reads.
func (t Targets) String() string {
	host := local
	switch {
	case !t.Hosts.IsValid():
	case t.Hosts.IsSingleIP():
		host = t.Hosts.Addr().String()
	default:
		host = t.Hosts.String()
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	ports := make([]string, len(t.Ports))
	for i, p := range t.Ports {
		ports[i] = strconv.Itoa(int(p.First))
		if p.Last != p.First {
			ports[i] += "-" + strconv.Itoa(int(p.Last))
		}
	}
	return host + ":" + strings.Join(ports, ",")
}

// Has reports whether a target is one of them, and one that packets may be forwarded to.
func (t Targets) Has(one Target) bool {
	return one.Check() == nil && one.Local() == !t.Hosts.IsValid() && (one.Local() || t.Hosts.Contains(one.Addr)) &&
		slices.ContainsFunc(t.Ports, func(p Ports) bool { return p.First <= one.Port && one.Port <= p.Last })
}

// only returns the target if there is one alone.
func (t Targets) only() (Target, bool) {
	if len(t.Ports) != 1 || t.Ports[0].First != t.Ports[0].Last || t.Hosts.IsValid() && !t.Hosts.IsSingleIP() {
		return Target{}, false
	}
	return Target{t.Hosts.Addr(), t.Ports[0].First}, true
}
