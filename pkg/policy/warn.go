package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Warnings of what is legal and weak, for enabled accesses only. There is none for
// shared sequences as such, which anyone on the path can replay: a warning that the
// administrator can do nothing about hides the others.

const (
	// fewElements: a sequence shorter than this is found by chance or by
	// trying.
	fewElements = 3
	// narrowRange: a sweep of a handful of ports around a known service hits
	// every element of a sequence that spans no more than this.
	narrowRange = 16
	// leastWithin is one retransmission of a SYN (RFC 6298).
	leastWithin = time.Second
	// privileged: scanners try the ports below it first, and services are assigned
	// them.
	privileged = 1024
	// leastInterval is what a client on a slow link can keep to, in the order of a
	// round trip or a retransmission.
	leastInterval = 100 * time.Millisecond
	// longTimeout is long for a knock that anyone who saw it can repeat.
	longTimeout = time.Hour
	// widePrefix4 and widePrefix6 hold more than one customer's addresses: network
	// operators give a customer an address out of a /16, or a /48 of his own.
	widePrefix4, widePrefix6 = 16, 48
)

// warnAccess warns of what is weak in one access.
func warnAccess(e entry, now time.Time, mode Mode) {
	if e.expired(now) {
		hint := "no knock opens it"
		if mode == ModeGate {
			hint += "; its services stay hidden"
		}
		e.table.warn(e.table.valueAt("expires"), "this access expired at "+e.Expires.Format(time.RFC3339), hint)
	}
	warnOS(e)
	warnPrefix(e)
	warnPort(e)
	warnForward(e)
	if e.Kind == KindShared {
		warnSequence(e)
		warnTiming(e)
		return
	}
	warnRange(e)
	warnKeys(e)
}

func warnSequence(e entry) {
	at := e.table.valueAt("sequence")
	if n := len(e.Sequence); n < fewElements {
		e.table.warn(at, fmt.Sprintf("a sequence of %d elements is easy to hit by chance", n), fmt.Sprintf("want %d or more", fewElements))
	}
	ps := e.KnockPorts()
	// ps has no icmp, which has no ports.
	switch n := len(ps); {
	case n == 0:
		e.table.warn(at, "every element is icmp, so a plain ping is a knock", "add tcp or udp elements")
		return
	case n > 1:
		warnOrder(e, ps)
		warnSpan(e, ps)
	}
	warnPublished(e, ps)
	var low []string
	for _, el := range ps {
		if el.First < privileged && !slices.Contains(low, el.String()) {
			low = append(low, el.String())
		}
	}
	if len(low) > 0 {
		e.table.warn(at, "knock ports below 1024: "+strings.Join(low, ", "), "scanners and services use these: want ports from 1024 to 65535")
	}
}

func warnOrder(e entry, ps []port.Range) {
	// Equal neighbours are neither: a scan sends to each port once.
	rising, falling := true, true
	for i := 1; i < len(ps); i++ {
		rising = rising && ps[i-1].First < ps[i].First
		falling = falling && ps[i-1].First > ps[i].First
	}
	order := "ascending"
	if falling {
		order = "descending"
	}
	if rising || falling {
		e.table.warn(e.table.valueAt("sequence"), "the ports of this sequence are in "+order+" order, as a scan sends them", "mix the order")
	}
}

func warnSpan(e entry, ps []port.Range) {
	low, high := ps[0].First, ps[0].First
	for _, el := range ps {
		low, high = min(low, el.First), max(high, el.First)
	}
	if high-low < narrowRange {
		e.table.warn(e.table.valueAt("sequence"), fmt.Sprintf("the ports of this sequence lie close together, from %d to %d", low, high),
			"spread them over the whole range")
	}
}

func warnTiming(e entry) {
	t := e.table
	// A sequence has two elements at least.
	steps := time.Duration(len(e.Sequence) - 1)
	switch {
	case e.MaxInterval < leastInterval && t.has("max_interval"):
		t.warn(t.valueAt("max_interval"), fmt.Sprintf("max_interval %s is hard to keep to over a real network", wording.Duration(e.MaxInterval)),
			fmt.Sprintf("want %s or more", wording.Duration(leastInterval)))
	case e.Within < leastInterval*steps:
		t.warn(t.valueAt("within"), fmt.Sprintf("within %s is hard to keep to over a real network with %d elements", wording.Duration(e.Within), len(e.Sequence)),
			fmt.Sprintf("want %s or more", wording.Duration(leastInterval*steps)))
	case e.MaxInterval-e.MinInterval < leastInterval:
		t.warn(t.valueAt("min_interval"), fmt.Sprintf("only %s lie between min_interval and the longest interval allowed, hard to keep to over a real network",
			wording.Duration(e.MaxInterval-e.MinInterval)), fmt.Sprintf("want %s or more", wording.Duration(leastInterval)))
	}
	if t.has("max_interval") && e.MaxInterval > e.Within {
		t.warn(t.valueAt("max_interval"), fmt.Sprintf("max_interval %s has no effect: the whole knock must be done within %s", wording.Duration(e.MaxInterval), wording.Duration(e.Within)),
			"want less, a longer within, or no max_interval")
	}
	if e.Timeout > longTimeout {
		t.warn(t.valueAt("timeout"), fmt.Sprintf("timeout %s is long for a sequence that an observer can repeat", wording.Duration(e.Timeout)),
			"established connections outlive it: it need only be long enough to connect")
	}
}

func warnOS(e entry) {
	t := e.table
	switch {
	case e.RequireOS == nil && t.has("os_confidence"):
		t.warn(t.keyAt("os_confidence"), "os_confidence has no effect without require_os", "add require_os, or remove it")
	// An expression that matches nothing at all matches inside of every label.
	case e.RequireOS != nil && e.RequireOS.MatchString(""):
		t.warn(t.valueAt("require_os"), "require_os matches every label, even an empty one", "is an alternative in it empty?")
	}
}

// warnPort warns of a port where there is none.
func warnPort(e entry) {
	if e.Kind == KindSPA && e.Protocol == ProtocolICMP && e.table.has("port") {
		e.table.warn(e.table.keyAt("port"), `port has no effect with protocol "icmp", which has no ports`, "remove it")
	}
}

// warnPrefix warns of grants that let many in.
func warnPrefix(e entry) {
	for _, p := range []struct {
		key          string
		length, wide int
	}{{"prefix4", e.Prefix4, widePrefix4}, {"prefix6", e.Prefix6, widePrefix6}} {
		if p.length != 0 && p.length < p.wide {
			e.table.warn(e.table.valueAt(p.key), fmt.Sprintf("%s = %d lets a large part of the Internet in with each knock", p.key, p.length),
				fmt.Sprintf("want %d or more", p.wide))
		}
	}
}

// warnRange warns of what is weak in the ports of a knock that is no shared one.
func warnRange(e entry) {
	t := e.table
	if e.Kind == KindSPA {
		return // a port that datagrams pass everywhere, such as 53, is a fine one
	}
	// Ranges of both protocols have the same ports.
	if r := e.KnockPorts()[0]; r.First < privileged {
		t.warn(t.valueAt("port_base"), fmt.Sprintf("knock ports below 1024: %d to %d", r.First, min(r.Last, privileged-1)),
			"scanners and services use these: want a port_base of 1024 or more")
	}
	warnWithin(e)
}

// warnWithin warns of too little time for a knock that is no shared one.
func warnWithin(e entry) {
	c, within := e.slowClient(), wording.Duration(e.Within)
	problem, least := fmt.Sprintf("within %s is hard to keep to over a real network", within), leastWithin
	if e.Within < c.want {
		problem = fmt.Sprintf("within %s is too little for %s, which takes %s", within, c.name, wording.Duration(c.takes))
		least = c.want
	}
	if e.Within < least {
		e.table.warn(e.table.valueAt("within"), problem, "want "+wording.Duration(least)+" or more")
	}
}

// client is a program that sends a kind of knock.
type client struct {
	name string
	// takes is the time from the first packet to the last where a firewall drops them, as
	// it does here. want is some more, for a real network.
	takes, want time.Duration
}

// slowClient returns the slowest of the clients that an access is for and that send a
// knock by themselves; docs/knocks.md lists them all.
func (a *Access) slowClient() client {
	switch {
	case a.Protocol == ProtocolUDP:
		// No client waits after a datagram.
	case a.Encoding == EncodingFwknop19:
		// Per SYN it waits a second for an answer, and sleeps a second.
		return client{"the Perl client of fwknop 1.9", 62 * time.Second, 70 * time.Second}
	case a.Encoding == EncodingArticle:
		// Per SYN it waits 100 ms for an answer, and 20 ms more.
		return client{"nftknock over tcp", 1800 * time.Millisecond, 3 * time.Second}
	case a.Kind == KindTOTP:
		return client{`"nc -w 1" for four ports`, 3 * time.Second, 5 * time.Second}
	}
	return client{}
}

// warnInUse warns of knock ports on which this host itself listens. Lanes are so
// many that some are in use nearly everywhere, which does no harm.
func warnInUse(e entry, inUse map[port.Range]bool) {
	const hint = "clients of that service would knock by accident: want "
	switch {
	case len(inUse) == 0:
	// Each element by itself, so that the warning stands at the right one.
	case e.Kind == KindShared:
		for i, el := range e.Sequence {
			if inUse[el] && !slices.Contains(e.Sequence[:i], el) {
				e.table.warn(e.table.itemAt("sequence", i), fmt.Sprintf("knock port %s is in use on this host", el), hint+"a port nothing listens on")
				e.table.code(CodeHost)
			}
		}
	case !e.lanes() && !e.ByPayload():
		if el, ok := firstInUse(e.KnockPorts(), inUse); ok {
			key := e.portKey()
			e.table.warn(e.table.valueAt(key), fmt.Sprintf("knock port %s is in use on this host", el), hint+"another "+key)
			e.table.code(CodeHost)
		}
	}
}
