package knock

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
)

// SPA is a single packet authorization: one packet whose payload is the whole request. It
// alone reads payloads, so that the same packet may be part of another knock, too.
type SPA struct {
	Key *spa.Key
	// Port is where the packet goes, or the first of several ports, of which LastPort
	// is the last; LastPort is 0 where there is one.
	Port, LastPort uint16
	// Protocols are UDP, TCP and ICMP, or some of them; nil stands for UDP. Over TCP
	// the packet is a SYN with a payload, over ICMP a message of any type over IPv4.
	Protocols []packet.Protocol
	Terms
}

// Ports returns a range for each protocol: port.Echo for ICMP, whatever the type.
func (s SPA) Ports() []port.Range {
	if s.Protocols == nil {
		s.Protocols = []packet.Protocol{packet.UDP}
	}
	ranges := make([]port.Range, len(s.Protocols))
	for i, p := range s.Protocols {
		ranges[i] = port.Range{Protocol: p, First: s.Port, Last: max(s.Port, s.LastPort)}
		if p == packet.ICMP {
			ranges[i] = port.Echo
		}
	}
	return ranges
}

func (s SPA) join(e *Engine, r *rule) error {
	if s.Key == nil {
		return errNoKey
	}
	g := e.spa.group(s.Ports())
	g.keys = append(g.keys, spaAccess{r, s})
	return nil
}

// spaAccess is an access with an SPA. Its key is only read, so that engines may
// share it.
type spaAccess struct {
	*rule
	SPA
}

// spaFamily recognises packets that authorize. No knock is ever half-done.
type spaFamily struct {
	engine *Engine
	groups[spaGroup]
	scratch spa.Scratch // memory for AuthenticIn
}

type spaGroup struct{ keys []spaAccess }

func newSPAFamily(e *Engine) *spaFamily { return &spaFamily{engine: e} }

func (f *spaFamily) prepare() { f.register(f.engine, f) }

// take adds the verdict on a packet. If not all keys could be tried, nothing is
// known and there is none.
func (f *spaFamily) take(group int, a *arrival) {
	// Ranges of several groups may hold the packet's port. The first of them tries the
	// keys of all, since there is to be one verdict on a packet; for the others the
	// payload is not even read.
	// Length and alphabet come before the keys: most junk costs its sender's budget nothing.
	// Echo requests over IPv6 are the same element, and no client sends SPA in them.
	if f.nextGroup(0, a) != group || a.packet.Protocol == packet.ICMPv6 || !spa.Plausible(a.packet.Payload) {
		return
	}
	out := finding{source: a.packet.Src, step: 1}
	access, complete := onlyAccess(f.list[group].keys), true
	for g := group; g >= 0 && complete && !out.granted(); g = f.nextGroup(g+1, a) {
		if g != group {
			access = NoAccess
		}
		complete = f.try(f.list[g].keys, a, &out)
	}
	switch {
	case out.found:
		a.add(out.verdict)
	case complete:
		a.add(Verdict{Access: access, Source: a.packet.Src, Reason: NoKey, Step: 1})
	}
}

// nextGroup returns the first group from one on whose packets go to the packet's port, or
// -1.
func (f *spaFamily) nextGroup(from int, a *arrival) int {
	for g := from; g < len(f.ports); g++ {
		for _, r := range f.ports[g] {
			if r.Has(a.element.Protocol, a.element.First) {
				return g
			}
		}
	}
	return -1
}

// try tries keys until one grants. It reports whether the budget was enough.
func (f *spaFamily) try(keys []spaAccess, a *arrival, out *finding) (complete bool) {
	payload := a.packet.Payload
	budget := f.engine.work.budget(workSPA, a.packet.Src, a.now)
	for i := range keys {
		k := &keys[i]
		if out.granted() {
			break
		}
		if !budget.spend(costHMAC + int64(len(payload))) {
			return false
		}
		if k.Key.AuthenticIn(&f.scratch, payload) {
			budget.take(costDecrypt)
			k.open(a, out)
		}
	}
	return true
}

// open reads a packet that the key seems to be for, and adds what the access
// grants of it.
func (k *spaAccess) open(a *arrival, out *finding) {
	m, token, err := k.Key.Open(a.packet.Payload)
	if errors.Is(err, spa.ErrNotForKey) {
		return
	}
	sys := systems{rule: k.rule} // none: no datagram has a fingerprint
	switch {
	case errors.Is(err, spa.ErrUser):
		out.add(&sys, nil, BadUser)
		return
	case err != nil:
		out.add(&sys, nil, Malformed)
		return
	}
	req := &Request{
		Allow:   addressee(m.Address, out.source),
		Open:    m.Services,
		User:    m.User,
		Timeout: m.Timeout,
		Clock:   m.Time.Sub(a.time.Truncate(time.Second)), // messages count seconds
		Token:   token,
		Forget:  forget(m.Time),
	}
	if m.Type == spa.Command {
		out.add(&sys, req, Command)
		return
	}
	if req.NAT = m.Type.NAT(); req.NAT {
		// NB: without a service the message would ask for all that the access opens.
		if len(m.Services) == 0 || m.NAT == "" {
			out.add(&sys, nil, Malformed)
			return
		}
		req.Forward = forwardTarget(&m)
	}
	out.add(&sys, req, k.refusal(&k.Terms, req, out.source, a.time))
}

// forwardTarget returns the target that a message asks for, or the zero Target if it names
// a host by its name: names are not resolved.
func forwardTarget(m *spa.Message) port.Target {
	host, number, _ := strings.Cut(m.NAT, ",")
	n, _ := strconv.ParseUint(number, 10, 16) // which the message was checked for
	// Of this host, the client gives the name or the address that it knows.
	if m.Type.LocalNAT() {
		return port.Target{Port: uint16(n)}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return port.Target{}
	}
	return port.Target{Addr: addr, Port: uint16(n)}
}

func (f *spaFamily) expire(*moment, int) {}
func (f *spaFamily) flush(*moment)       {}
func (f *spaFamily) adopt(family, bool)  {}
func (f *spaFamily) sources() int        { return 0 }
