package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nftknock/pkg/hostrules"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// An Interface is one by which packets arrive from outside.
type Interface struct {
	Name   string
	Index  int
	Bridge bool
	V4, V6 bool // whether packets of the version are looked at
	// Addresses are those of this host to which they go; with none of a version, their
	// destination is unknown.
	Addresses []netip.Addr
}

// maxAddresses bounds the addresses of an interface that are looked at for each version.
const maxAddresses = 8

// destinations returns the addresses of a version to look at.
func (i Interface) destinations(v6 bool) []netip.Addr {
	var list []netip.Addr
	for _, a := range i.Addresses {
		if a.Is6() == v6 && len(list) < maxAddresses {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		list = []netip.Addr{{}}
	}
	return list
}

// A path is one way into this host: by an interface, over a version of IP, to an address.
type path struct {
	Interface
	v6 bool
	to netip.Addr
}

// paths lists the ways into this host.
func (w Way) paths() []path {
	var list []path
	for _, i := range w.Interfaces {
		for _, v6 := range []bool{false, true} {
			if v6 && !i.V6 || !v6 && !i.V4 {
				continue
			}
			for _, to := range i.destinations(v6) {
				list = append(list, path{i, v6, to})
			}
		}
	}
	return list
}

// A Way is how packets of a policy come to this host.
type Way struct {
	// Table is the name of our table of family inet, which is not looked at.
	Table      string
	Interfaces []Interface
	// Mark is set in granted packets, and Members are the sets, as "inet filter clients",
	// that hold granted sources: where grants take effect by the host's own rules.
	Mark    uint32
	Members []string
}

// LaterDrops returns the rules and policies that drop packets to some services although
// they are granted: those behind our chain. An error is a drop of every such packet, a
// warning one that depends on what is not known, such as the source. It stops when ctx is
// done, and returns what it found until then.
func LaterDrops(ctx context.Context, rules *hostrules.Ruleset, services []port.Range, way Way) []Finding {
	s := survey{ctx: ctx, rules: rules, way: way, granted: true}
	s.ports(services)
	return s.findings("later-drop", func(t tally) (string, string) {
		message := fmt.Sprintf("%s %s %s to %s", t.by(), t.verb(), t.what("granted packets"), t.services())
		return message, t.laterHint(way) + " See: " + t.look()
	})
}

// EarlierDrops returns the rules that drop packets before our chain sees them, to knock
// ports or services. Severities and ctx are as in LaterDrops.
func EarlierDrops(ctx context.Context, rules *hostrules.Ruleset, ports []port.Range, way Way) []Finding {
	s := survey{ctx: ctx, rules: rules, way: way, early: true}
	s.ports(ports)
	return s.findings("earlier-drop", func(t tally) (string, string) {
		return fmt.Sprintf("%s %s %s to %s before nftknock sees them (it looks at prerouting, priority %d)",
				t.by(), t.verb(), t.what("packets"), t.services(), hostrules.MarkPriority),
			"let packets to these ports pass there, or drop them at input. See: " + t.look()
	})
}

// A tally is an outcome with the packets to which it happens.
type tally struct {
	hostrules.Outcome
	ports      []port.Range
	interfaces []string
	versions   []string
	ofVersions int // how many are looked at
}

func (t tally) by() string {
	if t.Rule == nil {
		return fmt.Sprintf("the policy of chain %s", t.Chain)
	}
	return fmt.Sprintf("rule handle %d of chain %s (%s)", t.Rule.Handle, t.Chain, t.Rule)
}

func (t tally) verb() string {
	verb := map[hostrules.Kind]string{
		hostrules.Dropped: "drops", hostrules.Rejected: "rejects", hostrules.Queued: "hands to another program", hostrules.Diverted: "diverts",
	}[t.Kind]
	if !t.Certain && t.Kind != hostrules.Queued {
		return "may " + strings.TrimSuffix(verb, "s")
	}
	return verb
}

func (t tally) what(noun string) string {
	if len(t.versions) < t.ofVersions {
		return strings.Join(t.versions, " and ") + " " + noun
	}
	return noun
}

// maxNamed bounds the ports and interfaces that a message names.
const maxNamed = 6

func (t tally) services() string {
	list := ranges(t.ports)
	if n := len(list) - maxNamed; n > 0 {
		list = append(list[:maxNamed:maxNamed], wording.Count(n, "other", "others"))
	}
	return strings.Join(list, ", ") + " on " + strings.Join(t.interfaces[:min(len(t.interfaces), maxNamed)], ", ")
}

// ranges writes ports, neighbours joined.
func ranges(ports []port.Range) []string {
	sorted := slices.SortedFunc(slices.Values(ports), port.Compare)
	var joined []port.Range
	for _, p := range sorted {
		if n := len(joined) - 1; n >= 0 && joined[n].Protocol == p.Protocol && p.First != 0 && joined[n].Last == p.First-1 {
			joined[n].Last = p.Last
			continue
		}
		joined = append(joined, p)
	}
	var list []string
	for _, p := range joined {
		list = append(list, p.String())
	}
	return list
}

// laterHint says what to do about a drop of granted packets.
func (t tally) laterHint(way Way) string {
	switch {
	case !t.Certain:
		return "if that is meant, for example to ban a source, leave it."
	case way.Mark != 0:
		return fmt.Sprintf("accept packets there that have the mark 0x%x.", way.Mark)
	case len(way.Members) > 0:
		return "accept sources there that are in " + strings.Join(way.Members, ", ") + "."
	case t.Rule == nil:
		return "add a rule that accepts the service: nftknock hides it from those who have no grant."
	}
	return "accept the service there: nftknock hides it from those who have no grant."
}

func (t tally) look() string { return fmt.Sprintf("nft -a list chain %s", t.Chain) }

// A survey sends packets through a ruleset and counts what happens to them.
type survey struct {
	ctx     context.Context
	rules   *hostrules.Ruleset
	way     Way
	early   bool // what happens before our chain, or else behind it
	granted bool
	tallies []*tally
	// steps are those of all walks. incomplete: there were too many, or some walks did not
	// come to an end.
	steps      int
	incomplete bool
}

// maxSteps bounds the rules that are looked at in one survey: some seconds' work.
const maxSteps = 4 << 20

// maxPorts bounds the ports that are looked at one by one.
const maxPorts = 4096

// ports looks at packets to each port, by each interface, over each version of IP.
func (s *survey) ports(list []port.Range) {
	for _, way := range s.way.paths() {
		s.oneWay(way, list)
	}
}

func (s *survey) oneWay(way path, list []port.Range) {
	// If nothing stops a packet of which the port is unknown, nothing stops one to any
	// port: thousands of ports cost one walk.
	idle := make(map[packet.Protocol]bool)
	left := maxPorts
	for _, r := range list {
		calm, asked := idle[r.Protocol]
		if !asked {
			calm = !s.relevant(s.walk(s.packet(way, port.Range{Protocol: r.Protocol})))
			idle[r.Protocol] = calm
		}
		if calm {
			continue
		}
		if r == port.Echo {
			s.count(r, way)
			continue
		}
		for n := 0; n < r.Ports() && left > 0 && s.steps <= maxSteps && s.ctx.Err() == nil; n++ {
			s.count(r.At(n), way)
			left--
		}
	}
}

func (s *survey) packet(way path, r port.Range) hostrules.Packet {
	p := hostrules.Packet{V6: way.v6, Port: r.First, Interface: way.Name, Index: way.Index, Bridge: way.Bridge, Destination: way.to}
	switch r.Protocol {
	case packet.TCP:
		p.Protocol = unix.IPPROTO_TCP
	case packet.UDP:
		p.Protocol = unix.IPPROTO_UDP
	default:
		p.Protocol = unix.IPPROTO_ICMP
		if way.v6 {
			p.Protocol = unix.IPPROTO_ICMPV6
		}
	}
	if s.granted {
		p.Mark = s.way.Mark
		p.Members = make(map[string]bool)
		for _, m := range s.way.Members {
			p.Members[m] = true
		}
	}
	return p
}

func (s *survey) walk(p hostrules.Packet) hostrules.Trip {
	t := s.rules.Walk(p, func(t *hostrules.Table) bool {
		return t.Family == hostrules.FamilyINet && t.Name == s.way.Table
	})
	s.steps += t.Steps
	s.incomplete = s.incomplete || t.Incomplete || s.steps > maxSteps
	return t
}

// before reports whether a chain comes before ours.
func before(c *hostrules.Chain) bool {
	return c.Hook == hostrules.Ingress || c.Table.Family == hostrules.FamilyBridge ||
		c.Hook == hostrules.Prerouting && c.Priority < hostrules.MarkPriority
}

// counts reports whether the survey is about an outcome.
func (s *survey) counts(o hostrules.Outcome) bool {
	return (o.Kind.Ends() || o.Kind == hostrules.Queued) && before(o.Base) == s.early
}

func (s *survey) relevant(t hostrules.Trip) bool {
	return t.Incomplete || slices.ContainsFunc(t.Outcomes, s.counts)
}

// count adds what happens to a packet to a port.
func (s *survey) count(r port.Range, way path) {
	trip := s.walk(s.packet(way, r))
	version := "IPv4"
	if way.v6 {
		version = "IPv6"
	}
	for _, o := range trip.Outcomes {
		// Where all packets are stopped, the rules that stop some of them do not matter.
		if !s.counts(o) || trip.Blocked && !o.Certain {
			continue
		}
		t := s.tally(o)
		t.ports = addOnce(t.ports, r)
		t.interfaces = addOnce(t.interfaces, way.Name)
		t.versions = addOnce(t.versions, version)
	}
}

func addOnce[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

func (s *survey) tally(o hostrules.Outcome) *tally {
	for _, t := range s.tallies {
		if t.Chain == o.Chain && t.Base == o.Base && t.Rule == o.Rule && t.Certain == o.Certain && t.Kind == o.Kind {
			return t
		}
	}
	t := &tally{Outcome: o}
	for _, v6 := range []bool{false, true} {
		if slices.ContainsFunc(s.way.paths(), func(w path) bool { return w.v6 == v6 }) {
			t.ofVersions++
		}
	}
	s.tallies = append(s.tallies, t)
	return t
}

// findings makes a finding of each tally, with the words for its message and hint.
func (s *survey) findings(code string, words func(tally) (message, hint string)) []Finding {
	var list []Finding
	for _, t := range s.tallies {
		f := Finding{Severity: Warning, Code: code, Where: inChain(t.Chain, t.Rule)}
		if t.Certain && t.Kind != hostrules.Queued {
			f.Severity = Error
		}
		f.Message, f.Hint = words(*t)
		list = append(list, f)
	}
	if s.incomplete {
		list = append(list, Finding{
			Severity: Warning, Code: "ruleset-too-large",
			Message: "the ruleset has more rules on the way of a packet than doctor follows: what it does is not known to the end",
			Hint:    "test by hand whether a granted source reaches the service",
		})
	}
	return list
}
