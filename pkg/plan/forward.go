package plan

import (
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// leastDial is the first port that a knock may ask to be forwarded though its access does
// not open it: fwknop's client picks a random one from there on (--nat-rand-port).
const leastDial = 10000

// freePorts returns the ports from leastDial on that the table does not hide. A hidden one
// is another access's, and a grant for it would let its packets pass.
func freePorts(protected []port.Range) []port.Range {
	var free []port.Range
	for _, p := range []packet.Protocol{packet.TCP, packet.UDP} {
		first := leastDial
		for _, s := range port.Normal(protected) { // in order
			if s.Protocol != p || int(s.Last) < first {
				continue
			}
			if int(s.First) > first {
				free = append(free, port.Range{Protocol: p, First: uint16(first), Last: s.First - 1})
			}
			first = int(s.Last) + 1
		}
		if first <= 65535 {
			free = append(free, port.Range{Protocol: p, First: uint16(first), Last: 65535})
		}
	}
	return free
}

// dial returns the ports that knocks of an access may ask to be forwarded.
func (p *Plan) dial(a *policy.Access) []port.Range { return slices.Concat(a.Open, p.free) }

// target returns where a service of the decision leads: see policy.Access.ForwardOf.
func (d *Decision) target(s port.Range) (to port.Target, ok bool) {
	if d.Forward.Port != 0 {
		return d.Forward, true
	}
	return d.Access.ForwardOf(s, d.Allow.Is4())
}

// leaveUnreachable takes the services out that are forwarded for the other address family
// alone, and refuses the knock if none is left.
func (d *Decision) leaveUnreachable() {
	if len(d.Access.Forwards) == 0 {
		return
	}
	// Cloned, since several decisions share the list.
	services := slices.DeleteFunc(slices.Clone(d.Services), func(s port.Range) bool {
		_, ok := d.target(s)
		return !ok
	})
	if len(services) == 0 {
		family := "IPv6"
		if d.Allow.Is4() {
			family = "IPv4"
		}
		d.Refused = Reason{event.CodeNAT, "the access forwards " + port.Join(d.Services) + " to no " + family + " address"}
		return
	}
	d.Services = services
}

// forwardWords says what a knock asks for that asks for a forwarded port.
func forwardWords(r *knock.Request) string {
	words := port.Join(r.Open) + " to "
	switch {
	case r.Forward.Port == 0:
		return words + "a host by its name, and names are not resolved"
	case len(r.Open) > 1:
		return words + r.Forward.String() + ", and one port can be forwarded"
	case !r.Forward.Local() && r.Forward.Addr.Is4() != r.Allow.Is4():
		return words + r.Forward.String() + " for " + r.Allow.String() + ", which is of the other address family"
	}
	return words + r.Forward.String()
}

// checkForward compares where a running grant leads with what its access allows. Of a
// grant that leads elsewhere it also compares what restrict does of others.
func (p *Plan) checkForward(a *policy.Access, g gate.Grant) Restriction {
	to, ok := a.ForwardOf(g.Service, g.Source.Addr().Is4())
	if g.Forward.Port == 0 {
		// A message of SPA for a port that is not forwarded opens the port itself.
		if !ok || to.Port != 0 {
			return Restriction{Reason: fmt.Sprintf("access %q now forwards it", a.Name)}
		}
		return Restriction{}
	}
	asked := a.MayReach(g.Forward) && slices.ContainsFunc(p.dial(a), func(s port.Range) bool { return s.Covers(g.Service) })
	switch {
	case g.Forward != to && !asked:
		return Restriction{Reason: fmt.Sprintf("access %q no longer forwards it to %s", a.Name, g.Forward)}
	case g.Masquerade != (a.Masquerade && !g.Forward.Local()):
		return Restriction{Reason: fmt.Sprintf("access %q has a changed masquerade", a.Name)}
	}
	return p.checkForwardTime(a, g)
}

// checkForwardTime is restrict for a grant that leads elsewhere: it is of a single port,
// so that it can be too long and nothing else.
func (p *Plan) checkForwardTime(a *policy.Access, g gate.Grant) Restriction {
	longest := max(a.Timeout, a.MaxTimeout)
	if g.Remaining <= longest {
		return Restriction{}
	}
	shorter := g
	shorter.Timeout, shorter.Remaining, shorter.Packets, shorter.Bytes = longest, longest, 0, 0
	return Restriction{Reason: fmt.Sprintf("access %q allows no longer timeout", a.Name), Instead: []gate.Grant{shorter}}
}

// Host is what of the host matters for forwarding.
type Host struct {
	Sys       fs.FS        // /proc/sys; what cannot be read there gives no warning
	Addresses []netip.Addr // of its interfaces
}

// HostWarnings returns a warning for each enabled access that leads to other hosts while
// this one does not forward packets, and for one of which a target may be this host.
func HostWarnings(p *policy.Policy, h Host) policy.Diagnostics {
	off4, off6 := h.off(forwarding4), h.off(forwarding6)
	var warnings policy.Diagnostics
	for _, a := range enabled(p) {
		warn := func(message, hint string) {
			warnings = append(warnings, policy.Diagnostic{
				File: a.Pos.File, Line: a.Pos.Line, Column: a.Pos.Column, Severity: policy.SeverityWarning, Message: message, Hint: hint,
			})
		}
		over4, over6 := a.ForwardsBeyond()
		for _, c := range []struct {
			needed, off  bool
			family, name string
		}{{over4, off4, "IPv4", forwarding4}, {over6, off6, "IPv6", forwarding6}} {
			if c.needed && c.off {
				warn(fmt.Sprintf("access %q forwards to other hosts, and this host forwards no %s packets", a.Name, c.family),
					"sysctl -w "+strings.ReplaceAll(c.name, "/", ".")+"=1, and the same in /etc/sysctl.d")
			}
		}
		for _, address := range h.Addresses {
			if a.LeadsTo(address) {
				warn(fmt.Sprintf("access %q may forward to %s, which is an address of this host: its own services there are opened", a.Name, address),
					`write "local:22" for a port of this host, and prefixes without its addresses`)
				break
			}
		}
	}
	return warnings
}

// The settings by which a host forwards packets.
const (
	forwarding4 = "net/ipv4/ip_forward"
	forwarding6 = "net/ipv6/conf/all/forwarding"
)

func (h Host) off(name string) bool {
	value, err := fs.ReadFile(h.Sys, name)
	return err == nil && strings.TrimSpace(string(value)) == "0"
}
