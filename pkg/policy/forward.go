package policy

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"nftknock/pkg/invalid"
	"nftknock/pkg/port"
)

// A Forward says where packets go that a grant lets through to an opened port. Those of
// an address family for which there is none are not let through.
type Forward struct {
	Open port.Range // a single port, one of the access's Open
	To   port.Target
}

// arrow stands between both in the policy.
const arrow = " -> "

// String returns the form that the policy has: "tcp/2222 -> 10.0.0.5:22".
func (f Forward) String() string { return f.Open.String() + arrow + f.To.String() }

// serves reports whether it is for sources of IPv4 (is4) or IPv6. A port of this host is
// reached over both.
func (f Forward) serves(is4 bool) bool { return f.To.Local() || f.To.Addr.Is4() == is4 }

// forwardKeys are the keys of this file.
var forwardKeys = []string{"forward", "masquerade"}

// maxForwards bounds the items of forward.
const maxForwards = 256

// A forwardItem is an item of the key: one of the two is set.
type forwardItem struct {
	forward *Forward
	targets *port.Targets
}

// parseForward reads "tcp/2222 -> 10.0.0.5:22" or "10.0.0.0/24:22,80".
func parseForward(s string) (forwardItem, error) {
	opened, target, ok := strings.Cut(s, "->")
	if !ok {
		t, err := port.ParseTargets(s)
		return forwardItem{targets: &t}, err
	}
	service, err := port.ParseService(strings.TrimSpace(opened))
	if err != nil {
		return forwardItem{}, err
	}
	if service.Ports() != 1 {
		return forwardItem{}, invalid.Newf("one port on the left, such as tcp/2222 -> 10.0.0.5:22", "bad forward %q: a range has no one target", s)
	}
	to, err := port.ParseTarget(strings.TrimSpace(target))
	return forwardItem{forward: &Forward{service, to}}, err
}

// readForward reads where the access leads to. It needs Kind and Open.
func readForward(t *table, a *Access) {
	t.boolean("masquerade", &a.Masquerade)
	var items []forwardItem
	if !list(t, "forward", &items, parseForward) || len(items) == 0 {
		a.Masquerade = false // as without the key: it has no effect, and is not written
		return
	}
	if len(items) > maxForwards {
		t.fail(t.valueAt("forward"), fmt.Sprintf("forward has %d items", len(items)), fmt.Sprintf("the limit is %d", maxForwards))
		return
	}
	for i, item := range items {
		if message, hint := a.addForward(item); message != "" {
			t.fail(t.itemAt("forward", i), message, hint)
		}
	}
	checkForwardForms(t, a)
}

// addForward adds an item, or says what is wrong with it.
func (a *Access) addForward(item forwardItem) (message, hint string) {
	if item.targets != nil {
		if a.Kind != KindSPA {
			return fmt.Sprintf("forward %s says not which port leads there: knock %q asks for no target", quote(item.targets.String()), string(a.Kind)),
				fmt.Sprintf("want the port before it: %s", a.exampleForward(*item.targets))
		}
		a.MayForward = append(a.MayForward, *item.targets)
		return "", ""
	}
	f := *item.forward
	switch {
	case a.Open == nil:
		return "", "" // which was reported
	case !slices.Contains(a.Open, f.Open):
		return fmt.Sprintf("forward of %s, which this access does not open", f.Open), fmt.Sprintf("add %q to open", f.Open)
	case f.To.Local() && f.To.Port == f.Open.First:
		return fmt.Sprintf("%s is forwarded to itself", f.Open), "remove it: without forward, open leads to this host"
	}
	for _, other := range a.Forwards {
		if other.Open == f.Open && (other.serves(true) && f.serves(true) || other.serves(false) && f.serves(false)) {
			return fmt.Sprintf("%s is also forwarded to %s", f.Open, other.To), "want one target for IPv4 and one for IPv6 at most"
		}
	}
	a.Forwards = append(a.Forwards, f)
	return "", ""
}

// warnForward warns of a key that has no effect alone.
func warnForward(e entry) {
	if e.table.has("masquerade") && !e.Forwarding() {
		e.table.warn(e.table.keyAt("masquerade"), "masquerade has no effect without forward", "")
	}
}

// exampleForward writes how the access would forward its first port.
func (a *Access) exampleForward(to port.Targets) string {
	opened := "tcp/2222"
	if len(a.Open) > 0 {
		opened = a.Open[0].String()
	}
	return opened + arrow + to.String()
}

// checkForwardForms refuses forms of grants that the maps of targets do not have.
func checkForwardForms(t *table, a *Access) {
	const why = "a forwarded connection is known by the address it comes from"
	switch {
	case a.SingleUse:
		t.fail(t.keyAt("single_use"), "single_use and forward do not go together: the kernel cannot end the translation with the first connection", "remove one of the two, or use a short timeout")
	case a.Prefix4 != 0:
		t.fail(t.keyAt("prefix4"), "prefix4 and forward do not go together: "+why, "remove one of the two")
	case a.Prefix6 != 0:
		t.fail(t.keyAt("prefix6"), "prefix6 and forward do not go together: "+why, "remove one of the two")
	}
}

// ForwardOf returns where the access leads packets of IPv4 (is4) or IPv6 that go to an
// opened port. The target is zero if it is this host and that port. ok is false if the
// port is forwarded for the other family alone.
func (a *Access) ForwardOf(s port.Range, is4 bool) (to port.Target, ok bool) {
	forwarded := false
	for _, f := range a.Forwards {
		// Not s.Covers: a knock may ask for a single port of a range, and for no range of
		// which one port is forwarded, since what is opened does not overlap.
		if f.Open != s {
			continue
		}
		if f.serves(is4) {
			return f.To, true
		}
		forwarded = true
	}
	return port.Target{}, !forwarded
}

// MayReach reports whether a packet of SPA may ask for a target.
func (a *Access) MayReach(to port.Target) bool {
	return slices.ContainsFunc(a.MayForward, func(t port.Targets) bool { return t.Has(to) })
}

// Forwarding reports whether the access leads to other ports or hosts.
func (a *Access) Forwarding() bool { return len(a.Forwards)+len(a.MayForward) > 0 }

// ForwardsBeyond reports whether the access leads to other hosts over IPv4 or IPv6.
func (a *Access) ForwardsBeyond() (over4, over6 bool) {
	for _, f := range a.Forwards {
		over4, over6 = over4 || f.To.Addr.Is4(), over6 || f.To.Addr.Is6()
	}
	for _, t := range a.MayForward {
		over4, over6 = over4 || t.Hosts.Addr().Is4(), over6 || t.Hosts.Addr().Is6()
	}
	return over4, over6
}

// LeadsTo reports whether the access may lead to some port of a host.
func (a *Access) LeadsTo(host netip.Addr) bool {
	return slices.ContainsFunc(a.Forwards, func(f Forward) bool { return f.To.Addr == host }) ||
		slices.ContainsFunc(a.MayForward, func(t port.Targets) bool { return t.Hosts.Contains(host) })
}

func (a *Access) writeForward(w io.Writer) {
	if !a.Forwarding() {
		fmt.Fprintf(w, "# forward: none\n")
		return
	}
	fmt.Fprintf(w, "forward = %s\nmasquerade = %t\n", tomlList(slices.Concat(texts(a.Forwards), texts(a.MayForward))), a.Masquerade)
}
