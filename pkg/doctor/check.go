package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nftknock/pkg/hostrules"
	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Check judges a host: what of it keeps the policy from working. Errors come first. It
// stops when ctx is done, and returns what it found until then.
func (p Policy) Check(ctx context.Context, h *Host) []Finding {
	return p.check(ctx, h, append([]check{missingTable, daemonProblems}, ofHost...))
}

// Ahead judges a host in which the policy is not in force yet, and no daemon runs: what of it
// would keep the policy from working. Otherwise it is like Check.
func (p Policy) Ahead(ctx context.Context, h *Host) []Finding {
	return p.check(ctx, h, ofHost)
}

// A check finds one kind of fault.
type check func(Policy, *Host) []Finding

// ofHost are the checks that do not depend on whether the policy is in force.
var ofHost = []check{
	untracked, published, hideStandsOut, notHidden, dynamicFirewall, legacyTables,
	programsBefore, interfaceProblems, savedTable, takenGroups, busyKnockPorts, clock,
}

func (p Policy) check(ctx context.Context, h *Host, checks []check) []Finding {
	var list []Finding
	if h.Rules != nil {
		way := h.Way(p)
		list = append(list, LaterDrops(ctx, h.Rules, p.Services, way)...)
		list = append(list, EarlierDrops(ctx, h.Rules, port.Normal(slices.Concat(p.Knocks, p.Services)), way)...)
	}
	for _, find := range checks {
		if ctx.Err() == nil {
			list = append(list, find(p, h)...)
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return list
}

// missingTable finds that nothing is hidden now.
func missingTable(p Policy, h *Host) []Finding {
	down := p.ControlSocket != "" && !h.Running
	effect := "services are not hidden"
	if p.byFirewall() {
		effect = "knocks open nothing"
	}
	switch {
	case h.Rules != nil && h.Rules.Table(hostrules.FamilyINet, p.Table) == nil && h.Running:
		return []Finding{{Severity: Error, Code: "table-missing",
			Message: fmt.Sprintf("the daemon runs, and there is no table inet %s: %s", p.Table, effect),
			Hint:    "the daemon's log says why it cannot restore the table; it may run in another network namespace"}}
	case h.Rules != nil && h.Rules.Table(hostrules.FamilyINet, p.Table) == nil:
		return []Finding{{Severity: Warning, Code: "table-missing",
			Message: fmt.Sprintf("there is no table inet %s: %s now", p.Table, effect),
			Hint:    "start nftknockd"}}
	case down:
		return []Finding{{Severity: Warning, Code: "daemon-down",
			Message: "nftknockd does not run: knocks open nothing", Hint: "start nftknockd, or look at its log"}}
	}
	return nil
}

// daemonProblems passes on what the running daemon says of itself.
func daemonProblems(_ Policy, h *Host) []Finding {
	severity := Warning
	if h.Hindered {
		severity = Error
	}
	var list []Finding
	for _, text := range h.Problems {
		list = append(list, Finding{Severity: severity, Code: "daemon-problem", Message: "the daemon says: " + text, Hint: "see: nftknockd status; the daemon's log"})
	}
	return list
}

// packets calls each with a packet to each of some services, by each way. It stops where walks of
// them through all rules would have more than maxSteps, or at maxPorts ports.
func (h *Host) packets(p Policy, services []port.Range, each func(port.Range, hostrules.Packet)) {
	way := h.Way(p)
	s := survey{way: way, granted: true}
	walks := maxSteps / (h.Rules.Size() + 1)
	for _, path := range way.paths() {
		left := min(maxPorts, walks/len(way.paths()))
		for _, r := range services {
			for n := 0; n < r.Ports() && left > 0; n++ {
				each(r.At(n), s.packet(path, r.At(n)))
				left--
			}
		}
	}
}

func (p Policy) skip(t *hostrules.Table) bool {
	return t.Family == hostrules.FamilyINet && t.Name == p.Table
}

// untracked finds datagrams to services that conntrack does not see. TCP has a socket, by
// which the table knows a connection.
func untracked(p Policy, h *Host) []Finding {
	if h.Rules == nil {
		return nil
	}
	found := make(map[*hostrules.Rule][]port.Range)
	var order []hostrules.Outcome
	h.packets(p, p.hidden(), func(r port.Range, k hostrules.Packet) {
		if r.Protocol != packet.UDP {
			return
		}
		for _, o := range h.Rules.Walk(k, p.skip).Outcomes {
			if o.Kind == hostrules.Untracked {
				if found[o.Rule] == nil {
					order = append(order, o)
				}
				found[o.Rule] = addOnce(found[o.Rule], r)
			}
		}
	})
	var list []Finding
	for _, o := range order {
		list = append(list, Finding{Severity: Warning, Code: "notrack", Where: inChain(o.Chain, o.Rule),
			Message: fmt.Sprintf("rule handle %d of chain %s (%s) takes %s from conntrack: a client can go on after its grant has ended, as long as it sends a packet every three minutes",
				o.Rule.Handle, o.Chain, o.Rule, strings.Join(ranges(found[o.Rule]), ", ")),
			Hint: "leave the service out of that rule"})
	}
	return list
}

// published finds services that rules translate to another host, such as a container, and
// that can be reached at that host's own address without a knock.
func published(p Policy, h *Host) []Finding {
	if h.Rules == nil {
		return nil
	}
	type way struct {
		service port.Range
		to      netip.AddrPort
	}
	seen := make(map[way]bool)
	var list []Finding
	h.packets(p, p.hidden(), func(r port.Range, k hostrules.Packet) {
		for _, o := range h.Rules.Walk(k, p.skip).Outcomes {
			if o.Kind != hostrules.Translated || !o.To.Addr().IsValid() || o.To.Addr().IsLoopback() {
				continue
			}
			to := o.To
			if to.Port() == 0 {
				to = netip.AddrPortFrom(to.Addr(), r.First)
			}
			if seen[way{r, to}] || !h.reachable(k, to) {
				continue
			}
			seen[way{r, to}] = true
			list = append(list, Finding{Severity: Warning, Code: "published", Where: inChain(o.Chain, o.Rule),
				Message: fmt.Sprintf("%s is translated to %s, which hosts on %s reach without a knock if they send packets for %s to this host",
					r, to, k.Interface, to.Addr()),
				Hint: fmt.Sprintf("drop what comes in by %s for %s directly, before translation: "+
					"in a chain at prerouting with priority raw (-300): iifname %q ip%s daddr %s drop", k.Interface, to.Addr(), k.Interface, map[bool]string{true: "6"}[k.V6], to.Addr())})
		}
	})
	return list
}

// reachable reports whether packets to an address behind this host may be forwarded that
// come in as k does.
func (h *Host) reachable(k hostrules.Packet, to netip.AddrPort) bool {
	if k.V6 && !h.Forwards6 || !k.V6 && !h.Forwards4 {
		return false
	}
	k.Destination, k.Port, k.Forwarded = to.Addr(), to.Port(), true
	k.Mark, k.Members = 0, nil // without a grant
	if l, ok := h.leaves(to.Addr()); ok {
		k.Out, k.OutIndex = l.Name, l.Index
	}
	// By the interface it came from, it is of the network that the sender is in already.
	return k.Out != k.Interface && !h.Rules.Walk(k, nil).Blocked
}

// samplePorts are ports that hardly a host has services on.
var samplePorts = []uint16{1, 47, 1023, 49151}

// hideStandsOut finds that hidden ports look different from the closed ports of the host.
func hideStandsOut(p Policy, h *Host) []Finding {
	if h.Rules == nil || len(h.Legacy) > 0 || p.byFirewall() || len(p.Services) == 0 {
		return nil
	}
	way := h.Way(p)
	way.Mark, way.Members = 0, nil
	silent, answering, total := 0, 0, 0
	s := survey{way: way}
	for _, path := range way.paths() {
		for _, n := range samplePorts {
			r := port.Single(packet.TCP, n)
			if slices.ContainsFunc(slices.Concat(p.hidden(), p.Knocks), r.Overlaps) || h.Listening[r] {
				continue
			}
			trip := h.Rules.Walk(s.packet(path, r), p.skip)
			total++
			switch stopped := slices.ContainsFunc(trip.Outcomes, func(o hostrules.Outcome) bool { return o.Kind == hostrules.Dropped || o.Kind == hostrules.Queued }); {
			case trip.Incomplete:
			case !stopped:
				answering++
			case trip.Blocked && !slices.ContainsFunc(trip.Outcomes, func(o hostrules.Outcome) bool { return o.Kind == hostrules.Rejected }):
				silent++
			}
		}
	}
	switch {
	case total == 0:
	case answering == total && p.Hide == policy.HideDrop:
		return []Finding{{Severity: Warning, Code: "hide-stands-out",
			Message: "no firewall of this host drops packets to closed ports: they answer, and only the hidden ports are silent, so that a scan finds them",
			Hint:    `set hide = "reject" in [nftables], or drop packets to closed ports`}}
	case silent == total && p.Hide == policy.HideReject:
		return []Finding{{Severity: Warning, Code: "hide-stands-out",
			Message: "a firewall of this host drops packets to closed ports: they are silent, and only the hidden ports answer, so that a scan finds them",
			Hint:    `set hide = "drop" in [nftables]`}}
	}
	return nil
}

// notHidden finds services that the host's own rules should hide and do not, and sets that
// are not there.
func notHidden(p Policy, h *Host) []Finding {
	if h.Rules == nil || !p.byFirewall() {
		return nil
	}
	var list []Finding
	for _, name := range p.Members {
		if !h.Rules.HasSet(name) {
			list = append(list, Finding{Severity: Error, Code: "set-missing",
				Message: fmt.Sprintf("there is no set %s: grants open nothing", name), Hint: "define it in your ruleset, or correct its name in [nftables]"})
		}
	}
	var open []port.Range
	var versions []string
	everywhere := p
	everywhere.No4, everywhere.No6 = false, false
	h.packets(everywhere, p.hidden(), func(r port.Range, k hostrules.Packet) {
		k.Mark, k.Members = 0, nil
		if t := h.Rules.Walk(k, p.skip); !t.Incomplete && !t.Stops() {
			open = addOnce(open, r)
			versions = addOnce(versions, map[bool]string{false: "IPv4", true: "IPv6"}[k.V6])
		}
	})
	if len(open) > 0 && len(h.Legacy) == 0 {
		list = append(list, Finding{Severity: Error, Code: "not-hidden",
			Message: fmt.Sprintf("your firewall lets everyone reach %s over %s: in mode %q it must drop those who have no grant",
				strings.Join(ranges(open), ", "), strings.Join(versions, " and "), p.Mode),
			Hint: "docs/firewalls.md has rulesets for this mode"})
	}
	return list
}

// dynamicFirewall finds firewalls that make their tables anew at a reload, where grants are
// elements of sets in such tables or depend on a rule in them.
func dynamicFirewall(p Policy, h *Host) []Finding {
	if h.Rules == nil || !p.byFirewall() {
		return nil
	}
	what := map[policy.Mode]string{policy.ModeSet: "sets in its tables, and grants in them,", policy.ModeMark: "rules in its tables that look for the mark"}[p.Mode]
	var list []Finding
	add := func(name, hint string, t *hostrules.Table) {
		list = append(list, Finding{Severity: Warning, Code: "dynamic-firewall", Where: Where{Family: t.Family.String(), Table: t.Name},
			Message: fmt.Sprintf("%s manages table %s: %s vanish when it reloads", name, t, what), Hint: hint})
	}
	ufw := false
	for _, t := range h.Rules.Tables {
		switch {
		case t.Name == "firewalld":
			add("firewalld", `use mode = "gate", or keep sets and rules in a table of your own that firewalld does not touch`, t)
		case !ufw && slices.ContainsFunc(t.Chains, func(c *hostrules.Chain) bool {
			return strings.HasPrefix(c.Name, "ufw-") || strings.HasPrefix(c.Name, "ufw6-")
		}):
			ufw = true
			add("ufw", `use mode = "gate", or keep sets and rules in a table of your own that ufw does not touch`, t)
		}
	}
	return list
}

// legacyTables finds rules that doctor cannot read.
func legacyTables(_ Policy, h *Host) []Finding {
	if len(h.Legacy) == 0 {
		return nil
	}
	return []Finding{{Severity: Warning, Code: "legacy-tables",
		Message: fmt.Sprintf("iptables-legacy has tables in this kernel (%s), which doctor does not read: rules in them may drop granted packets or knocks", strings.Join(h.Legacy, ", ")),
		Hint:    "see: iptables-legacy-save; ip6tables-legacy-save"}}
}

// busyKnockPorts finds knock ports on which a service of this host listens.
func busyKnockPorts(p Policy, h *Host) []Finding {
	var busy []port.Range
	for r := range h.Listening {
		if slices.ContainsFunc(p.Quiet, r.Overlaps) {
			busy = append(busy, r)
		}
	}
	if len(busy) == 0 {
		return nil
	}
	list := ranges(busy)
	if n := len(list) - maxNamed; n > 0 {
		list = append(list[:maxNamed:maxNamed], wording.Count(n, "other", "others"))
	}
	return []Finding{{Severity: Warning, Code: "knock-port-busy",
		Message: fmt.Sprintf("this host listens on the knock port %s: clients of that service send packets of knocks by accident, and its answers tell an observer about the knock", strings.Join(list, ", ")),
		Hint:    "choose other knock ports. See: ss -lntup"}}
}

// clock finds that the clock is not kept, where knocks hold a time.
func clock(p Policy, h *Host) []Finding {
	if !h.Unsynchronised || len(p.Timed) == 0 {
		return nil
	}
	names := p.Timed
	if n := len(names) - maxNamed; n > 0 {
		names = append(slices.Clone(names[:maxNamed]), wording.Count(n, "other", "others"))
	}
	return []Finding{{Severity: Warning, Code: "clock",
		Message: fmt.Sprintf("the clock of this host is not synchronised, and knocks of %s hold a time: they are refused when it is off", strings.Join(names, ", ")),
		Hint:    "run an NTP client, such as chrony or systemd-timesyncd. See: timedatectl"}}
}
