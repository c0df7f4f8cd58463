package client

import (
	"net/netip"
	"strings"
)

// find returns the first entry of a name, or nil. Stanzas come last: fwknop finds
// them only by -n.
func (r Request) find(name string) *Host {
	for _, stanza := range []bool{false, true} {
		for i := range r.Hosts {
			if h := &r.Hosts[i]; h.Stanza == stanza && sameName(h.Name, name) {
				return h
			}
		}
	}
	return nil
}

// findAddress returns the first entry whose name is one of the addresses, and that
// address. If there is none it returns nil and the first address.
func (r Request) findAddress(addrs []netip.Addr) (*Host, netip.Addr) {
	for _, addr := range addrs {
		if h := r.find(addr.String()); h != nil {
			return h, addr
		}
	}
	return nil, addrs[0]
}

// findStanza returns the stanza with the name of the request.
func (r Request) findStanza() (*Host, error) {
	var names []string
	for i := range r.Hosts {
		switch h := &r.Hosts[i]; {
		case !h.Stanza:
		case h.Name == r.Stanza:
			return h, nil
		default:
			names = append(names, h.Name)
		}
	}
	hint := "a stanza begins with its name in brackets: [" + r.Stanza + "]"
	if len(names) > 0 {
		hint = "there are: " + strings.Join(names, ", ")
	}
	return nil, configError(hint, "there is no stanza %q", r.Stanza)
}

// unknown is the error for a host without an entry.
func unknown(host string, addrs []netip.Addr) error {
	var tried []string
	for _, addr := range addrs {
		if addr.String() != host {
			tried = append(tried, addr.String())
		}
	}
	if len(tried) > 0 {
		host += " (" + strings.Join(tried, ", ") + ")"
	}
	return configError("write a sequence on the command line (nftknock HOST tcp/7000 udp/8000), choose another kind of knock "+
		"(-e, --spa, --totp), or describe the host in one of the files that nftknock -h names",
		"no knock is known for %s", host)
}
