package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/links"
)

// rtnlTimeout is how long to wait for an answer about interfaces.
const rtnlTimeout = 10 * time.Second

// readLinks reads interfaces with their addresses, and the routes.
func (h *Host) readLinks() error {
	n, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.SetSocketTimeout(rtnlTimeout); err != nil {
		return err
	}
	all, err := n.LinkList()
	if err != nil {
		return err
	}
	for _, l := range all {
		a := l.Attrs()
		link := Link{
			Name: a.Name, AltNames: a.AltNames, Index: a.Index, Master: a.MasterIndex,
			Up: a.Flags&net.FlagUp != 0, Bridge: l.Type() == "bridge", XDP: a.Xdp != nil && a.Xdp.Attached,
		}
		addrs, err := n.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, addr := range addrs {
			link.Addresses = append(link.Addresses, prefix(addr.IPNet))
		}
		// An error: no such filters, or none that this kernel can list.
		filters, err := n.FilterList(l, netlink.HANDLE_MIN_INGRESS)
		link.TC = err == nil && len(filters) > 0
		h.Links = append(h.Links, link)
	}
	return h.readRoutes(n)
}

func (h *Host) readRoutes(n *netlink.Handle) error {
	for family, whole := range map[int]netip.Prefix{
		netlink.FAMILY_V4: netip.PrefixFrom(netip.IPv4Unspecified(), 0),
		netlink.FAMILY_V6: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	} {
		routes, err := n.RouteList(nil, family)
		if err != nil {
			return err
		}
		for _, r := range routes {
			to := whole
			if r.Dst != nil {
				to = prefix(r.Dst)
			}
			if r.LinkIndex != 0 {
				h.Routes = append(h.Routes, Route{to, r.LinkIndex})
			}
			for _, hop := range r.MultiPath {
				h.Routes = append(h.Routes, Route{to, hop.LinkIndex})
			}
		}
	}
	return nil
}

func prefix(n *net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones)
}

// link returns the interface of an index.
func (h *Host) link(index int) (Link, bool) {
	i := slices.IndexFunc(h.Links, func(l Link) bool { return l.Index == index })
	if i < 0 {
		return Link{}, false
	}
	return h.Links[i], true
}

// leaves returns the interface by which packets to an address leave, as the main table says.
func (h *Host) leaves(to netip.Addr) (Link, bool) {
	best := Route{Link: -1}
	for _, r := range h.Routes {
		if r.To.Contains(to) && (best.Link < 0 || r.To.Bits() > best.To.Bits()) {
			best = r
		}
	}
	return h.link(best.Link)
}

// Way returns how packets of the policy come to the host: by the interfaces that it
// lists, if they are there; otherwise by those with a default route; otherwise by all.
func (h *Host) Way(p Policy) Way {
	w := Way{Table: p.Table, Mark: p.Mark, Members: p.Members}
	chosen := h.guarded(p)
	if len(p.Interfaces) == 0 {
		if outward := slices.DeleteFunc(slices.Clone(chosen), func(l Link) bool { return !h.isOutward(l) }); len(outward) > 0 {
			chosen = outward
		}
	}
	for _, l := range chosen {
		i := Interface{Name: l.Name, Index: l.Index, Bridge: l.Bridge}
		for _, a := range l.Addresses {
			i.V4 = i.V4 || a.Addr().Is4()
			i.Addresses = append(i.Addresses, a.Addr())
			i.V6 = i.V6 || a.Addr().Is6() && !a.Addr().IsLinkLocalUnicast()
		}
		i.V4, i.V6 = i.V4 && !p.No4, i.V6 && !p.No6
		if i.V4 || i.V6 {
			w.Interfaces = append(w.Interfaces, i)
		}
	}
	return w
}

// isOutward reports whether a default route leads through the interface.
func (h *Host) isOutward(l Link) bool {
	return slices.ContainsFunc(h.Routes, func(r Route) bool { return r.To.Bits() == 0 && r.Link == l.Index })
}

// resolve decides as the daemon does which interfaces are guarded.
func (h *Host) resolve(p Policy) links.Resolution {
	var now []links.Link
	for _, l := range h.Links {
		now = append(now, links.Link{Index: l.Index, Name: l.Name, AltNames: l.AltNames, Master: l.Master})
	}
	return links.Resolve(p.Interfaces, now, nil)
}

// guarded returns the guarded interfaces that are up.
func (h *Host) guarded(p Policy) []Link {
	free := h.resolve(p).Unguarded
	var list []Link
	for _, l := range h.Links {
		if l.Up && !slices.Contains(free, l.Name) {
			list = append(list, l)
		}
	}
	return list
}

// interfaceProblems finds interfaces that the policy lists and that are not there, or the
// like.
func interfaceProblems(p Policy, h *Host) []Finding {
	var list []Finding
	if len(h.Links) == 0 {
		return nil
	}
	for _, problem := range h.resolve(p).Problems {
		list = append(list, Finding{Severity: Warning, Code: "interface", Message: problem.String(),
			Hint: "ip link lists the interfaces of this host"})
	}
	return list
}

// programsBefore finds programs that see packets before nftables does.
func programsBefore(p Policy, h *Host) []Finding {
	var list []Finding
	for _, l := range h.guarded(p) {
		for _, k := range []struct {
			has        bool
			code, what string
			see        string
		}{
			{l.XDP, "xdp", "an XDP program", "ip -d link show dev " + l.Name},
			{l.TC, "tc", "a filter of tc at ingress", "tc filter show dev " + l.Name + " ingress"},
		} {
			if k.has {
				list = append(list, Finding{Severity: Warning, Code: k.code,
					Message: fmt.Sprintf("%s looks at packets of %s before nftables: what it drops or redirects, nftknock does not see", k.what, l.Name),
					Hint:    "make sure that it lets packets to knock ports and hidden services pass. See: " + k.see})
			}
		}
	}
	return list
}
