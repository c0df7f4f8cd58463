package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/pkg/hostrules"
	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// A Granter lets a source in for a moment, by the running daemon.
type Granter interface {
	Grant(ctx context.Context, source netip.Prefix, service port.Range) error
	// End takes back all grants of a source, and ends its connections. Without any it does
	// nothing. It also works when ctx is done.
	End(ctx context.Context, source netip.Prefix)
}

// proveInterface is the interface that a proof makes and removes.
const proveInterface = "nftkprove0"

// patience is how long a proof waits for an answer to a packet, and for the kernel's trace
// of its way.
const patience = time.Second

// Prove sends a packet to the first port of each service, with a grant and without, and
// follows it with nft's trace. The packets come in by an interface that Prove makes, from
// an address of its own of a network for documentation (RFC 5737, RFC 3849): nobody else's
// traffic is touched. It returns what is wrong, and sentences about what was proved.
//
// Interface and trace are bound to descriptors of this process: the kernel removes them
// when it ends, however it does. It needs CAP_NET_ADMIN. It stops when ctx is done.
func (p Policy) Prove(ctx context.Context, h *Host, grant Granter) (findings []Finding, proved []string) {
	for _, v6 := range []bool{false, true} {
		to, inward, ok := h.target(p, v6)
		if !ok || ctx.Err() != nil {
			continue
		}
		s, err := newStage(v6, h)
		if err != nil {
			findings = append(findings, notProved(version(v6), err))
			continue
		}
		for _, r := range p.Services {
			if ctx.Err() != nil {
				break
			}
			t := trial{policy: p, host: h, stage: s, service: r.At(0), to: to, inward: inward, grant: grant}
			f, words := t.run(ctx)
			findings = append(findings, f...)
			proved = append(proved, words...)
		}
		if err := s.close(); err != nil {
			findings = append(findings, notProved("removing the test's interface", err))
		}
	}
	return findings, proved
}

func version(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

func notProved(what string, err error) Finding {
	return Finding{Severity: Error, Code: "prove-failed", Message: fmt.Sprintf("no proof for %s: %v", what, err),
		Hint: "a proof needs root, a running daemon, /dev/net/tun, and no other proof at the same time"}
}

// target returns an address of this host to send to, and the interface that has it.
func (h *Host) target(p Policy, v6 bool) (netip.Addr, Interface, bool) {
	for _, i := range h.Way(p).Interfaces {
		for _, a := range i.Addresses {
			if a.Is6() == v6 && !a.IsLinkLocalUnicast() {
				return a, i, true
			}
		}
	}
	return netip.Addr{}, Interface{}, false
}

// A trial is the proof of one service over one version of IP.
type trial struct {
	policy  Policy
	host    *Host
	stage   *stage
	service port.Range
	to      netip.Addr
	inward  Interface // the one that has the address
	grant   Granter
}

func (t trial) String() string { return fmt.Sprintf("%s at %s", t.service, t.to) }

func (t trial) run(ctx context.Context) (findings []Finding, proved []string) {
	source := netip.PrefixFrom(t.stage.source, t.stage.source.BitLen())
	// A proof that was killed may have left a grant, which lasts another second.
	t.grant.End(ctx, source)
	without, err := t.stage.send(ctx, t.service, t.to)
	if err != nil {
		return []Finding{notProved(t.String(), err)}, nil
	}
	if f, ok := t.judgeWithout(without); ok {
		findings = append(findings, f)
	}
	if err := t.grant.Grant(ctx, source, t.service); err != nil {
		return append(findings, notProved(t.String(), err)), nil
	}
	defer t.grant.End(ctx, source)
	with, err := t.stage.send(ctx, t.service, t.to)
	if err != nil {
		return append(findings, notProved(t.String(), err)), nil
	}
	f, words := t.judgeWith(with)
	return append(findings, f...), append(proved, words...)
}

// judgeWithout judges the way of a packet without a grant, which our table should stop.
func (t trial) judgeWithout(w passage) (Finding, bool) {
	// With listed interfaces, that of the test is not guarded.
	if t.policy.Mode != policy.ModeGate || len(t.policy.Interfaces) > 0 || w.stopped || w.answer == reset {
		return Finding{}, false
	}
	return Finding{Severity: Error, Code: "prove-open",
		Message: fmt.Sprintf("a packet without a grant to %s was not dropped%s", t, w.asAnswer()),
		Hint:    "see status, and the daemon's log: the table may be missing or changed"}, true
}

// judgeWith judges the way of a packet with a grant.
func (t trial) judgeWith(w passage) ([]Finding, []string) {
	switch {
	case w.stopped:
		return []Finding{t.stoppedBy(w)}, nil
	case w.steps == 0 && w.answer == none:
		return []Finding{{Severity: Warning, Code: "prove-unseen",
			Message: fmt.Sprintf("with a grant, a packet to %s was neither seen by a chain of nftables nor answered", t),
			Hint:    "something before nftables dropped it: XDP, tc, or the reverse path filter (sysctl net.ipv4.conf.all.rp_filter)"}}, nil
	case w.answer == none && t.service.Protocol == packet.TCP:
		return []Finding{{Severity: Warning, Code: "prove-unanswered",
			Message: fmt.Sprintf("with a grant, a SYN to %s passed all chains and was not answered: its last one was %s", t, w.last),
			Hint:    "is the service running, and do your rules at output let its answers pass?"}}, nil
	case w.answer == reset:
		return []Finding{{Severity: Warning, Code: "prove-unanswered",
			Message: fmt.Sprintf("with a grant, a SYN to %s passed all chains, and was answered that nobody listens", t),
			Hint:    "start the service, or look at the address on which it listens. See: ss -lnt"}}, nil
	}
	return nil, []string{fmt.Sprintf("proof: with a grant, a packet from %s to %s passed %d steps of the ruleset%s", t.stage.source, t, w.steps, w.asAnswer())}
}

// stoppedBy is the finding of a packet that was stopped in spite of its grant.
func (t trial) stoppedBy(w passage) Finding {
	f := Finding{Severity: Error, Code: "prove-dropped", Where: w.where(t.host.Rules),
		Message: fmt.Sprintf("with a grant, a packet to %s was dropped by %s", t, w.last),
		Hint:    "accept the service there. See: nft -a list chain " + w.last.chain()}
	if w.last.family == hostrules.FamilyINet && w.last.table == t.policy.Table {
		f.Hint = "nftknock's own table dropped it: the daemon's log says whether the grant was made"
		return f
	}
	if t.byInterface() {
		f.Severity, f.Code = Warning, "prove-interface"
		f.Message += fmt.Sprintf("; your rules ask for the interface, which was %s and not %s", proveInterface, t.inward.Name)
		f.Hint = "the proof says nothing about this service: go by what doctor finds in the rules"
	}
	return f
}

// byInterface reports whether the rules stop the packet for the interface of the test alone.
func (t trial) byInterface() bool {
	if t.host.Rules == nil {
		return false
	}
	s := survey{way: Way{Table: t.policy.Table, Mark: t.policy.Mark, Members: t.policy.Members}, granted: true}
	blocked := func(i Interface) bool {
		return t.host.Rules.Walk(s.packet(path{i, t.to.Is6(), t.to}, t.service), t.policy.skip).Blocked
	}
	return blocked(Interface{Name: proveInterface}) && !blocked(t.inward)
}

// An answer is what came back to a packet.
type answer int

const (
	none   answer = iota
	synAck        // or a datagram
	reset
)

// A passage is the way of a packet through the ruleset.
type passage struct {
	steps   int // that were traced
	last    traceStep
	stopped bool
	answer  answer
}

func (w passage) asAnswer() string {
	switch w.answer {
	case synAck:
		return ", and the service answered"
	case reset:
		return ", and was answered that nobody listens"
	}
	return ""
}

// where is the place of the last step, with the text of its rule.
func (w passage) where(rules *hostrules.Ruleset) Where {
	f := Where{Family: w.last.family.String(), Table: w.last.table, Chain: w.last.name, Handle: w.last.handle}
	if rules == nil {
		return f
	}
	if t := rules.Table(w.last.family, w.last.table); t != nil {
		for _, c := range t.Chains {
			if i := slices.IndexFunc(c.Rules, func(r *hostrules.Rule) bool { return r.Handle == w.last.handle }); c.Name == w.last.name && i >= 0 {
				f.Rule = c.Rules[i].String()
			}
		}
	}
	return f
}

// follow collects the way of a packet from an address, until it is stopped, answered, or
// patience ends.
func (s *stage) follow(ctx context.Context) (passage, error) {
	var w passage
	var id uint32
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return w, ctx.Err()
		case <-timer.C:
			return w, nil
		case b, ok := <-s.packets:
			if !ok {
				return w, errors.New("the test's interface is gone")
			}
			if a := s.answerIn(b); a != none {
				w.answer = a
				// The trace of the packet came before its answer, but by another way.
				timer.Reset(patience / 5)
			}
		case t := <-s.traces:
			// The port is new for each packet: what is still under way of the one before,
			// such as the RST that ended it, has another.
			if id == 0 && t.from == s.source && t.port == s.sent.port {
				id = t.id
			}
			if id == 0 || t.id != id {
				continue
			}
			if t.kind != traceReturn && s.sent.service.Protocol == packet.UDP {
				timer.Reset(patience / 2) // no answer need come
			}
			if w.steps++; t.kind != traceReturn || w.last == (traceStep{}) {
				w.last = t.traceStep
			}
			if t.stops() {
				w.stopped = true
				timer.Reset(patience / 5)
			}
		}
	}
}

// send sends a packet to a service and follows it.
func (s *stage) send(ctx context.Context, service port.Range, to netip.Addr) (passage, error) {
	s.port++
	s.sent = flow{service, to, s.port}
	if err := s.write(s.sent.packet(s.source, 0x02, nil)); err != nil {
		return passage{}, err
	}
	w, err := s.follow(ctx)
	if w.answer == synAck && service.Protocol == packet.TCP {
		// So that the service does not wait for the rest of the handshake.
		err = errors.Join(err, s.write(s.sent.packet(s.source, 0x04, s.acknowledged)))
	}
	return w, err
}

// chain is as in "inet filter input".
func (t traceStep) chain() string {
	return strings.Join([]string{t.family.String(), t.table, t.name}, " ")
}

func (t traceStep) String() string {
	if t.kind == tracePolicy {
		return "the policy of chain " + t.chain()
	}
	return fmt.Sprintf("rule handle %d of chain %s", t.handle, t.chain())
}

// Numbers of TCP and UDP for the head of a packet.
func (f flow) protocol() uint8 {
	if f.service.Protocol == packet.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}
