package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"nftknock/pkg/knock"
)

// Network narrows the addresses a name may resolve to.
type Network string

// The networks, as net.Resolver names them.
const (
	IP  Network = "ip"
	IP4 Network = "ip4"
	IP6 Network = "ip6"
)

// Request is what a person asked for.
type Request struct {
	Host     string          // a name or an address, IPv6 bare or in brackets
	Network  Network         // IP if empty
	Sequence []knock.Element // overrides what the files say
	// Hosts are the contents of the files in the order in which they are
	// to be asked.
	Hosts []Host
}

// Lookup resolves a name; it is (*net.Resolver).LookupNetIP.
type Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// Plan finds out what the knock is: an entry whose name is the host as typed,
// else one that names the address the host resolves to. It resolves a name
// once and takes the address the system prefers.
func (r Request) Plan(ctx context.Context, lookup Lookup) (Knock, error) {
	if r.Network == "" {
		r.Network = IP
	}
	host := unbracket(r.Host)
	if !isHost(host) {
		return Knock{}, configError("the host comes first and alone: nftknock ssh.example.org tcp/7000 udp/8000",
			"bad host %q", r.Host)
	}
	entry, found := r.find(host)
	target := host
	if found && entry.Address != "" {
		target = unbracket(entry.Address)
	}
	addrs, err := r.resolve(ctx, target, lookup)
	if err != nil {
		return Knock{}, err
	}
	dst := addrs[0]
	if !found {
		// A file that knows one of the addresses means the host by it.
		for _, addr := range addrs {
			if entry, found = r.find(addr.String()); found {
				dst = addr
				break
			}
		}
	}
	if r.Sequence != nil {
		entry.Sequence, entry.Origin = r.Sequence, "command line"
	} else if !found {
		return Knock{}, r.unknown(host, addrs)
	}
	// What a person types may be any part of a knock; a file holds a whole one.
	if n := len(entry.Sequence); n == 0 || n > knock.MaxSequence {
		return Knock{}, &Error{Err: fmt.Errorf("%d elements: want 1 to %d", n, knock.MaxSequence), Config: true}
	}
	return Knock{
		Dst: dst, Sequence: entry.Sequence, Delay: entry.Delay,
		Verify: entry.Verify, Origin: entry.Origin,
	}, nil
}

// find returns the first entry of that name.
func (r Request) find(name string) (Host, bool) {
	for _, h := range r.Hosts {
		if sameName(h.Name, name) {
			return h, true
		}
	}
	return Host{}, false
}

// resolve gives the addresses of a host, one or more, the preferred first.
func (r Request) resolve(ctx context.Context, host string, lookup Lookup) ([]netip.Addr, error) {
	addrs := []netip.Addr{{}}
	var err error
	if addrs[0], err = netip.ParseAddr(host); err != nil {
		if addrs, err = r.ask(ctx, host, lookup); err != nil {
			return nil, err
		}
	}
	known := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		known[i] = addr.Unmap()
		if err := r.check(known[i]); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func (r Request) check(addr netip.Addr) error {
	switch {
	case r.Network == IP4 && !addr.Is4():
		return configError("", "%s is an IPv6 address, and IPv4 was asked for", addr)
	case r.Network == IP6 && !addr.Is6():
		return configError("", "%s is an IPv4 address, and IPv6 was asked for", addr)
	case addr.IsUnspecified() || addr.IsMulticast():
		return configError("", "%s is not the address of a host", addr)
	}
	return nil
}

func (r Request) ask(ctx context.Context, host string, lookup Lookup) ([]netip.Addr, error) {
	addrs, err := lookup(ctx, string(r.Network), host)
	if err == nil && len(addrs) > 0 {
		return addrs, nil
	}
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("interrupted while resolving %q", host)
	case errors.As(err, &dns) && !dns.IsNotFound:
		return nil, &Error{
			Err:  fmt.Errorf("cannot resolve %q: %s", host, dns.Err),
			Hint: "the address itself works without a name server",
		}
	}
	return nil, &Error{
		Err:  fmt.Errorf("unknown host %q: the name resolves to no %saddress", host, r.Network.adjective()),
		Hint: "is it spelt right? a name of your own needs an entry with an address in hosts.toml",
	}
}

func (n Network) adjective() string {
	switch n {
	case IP4:
		return "IPv4 "
	case IP6:
		return "IPv6 "
	}
	return ""
}

func (r Request) unknown(host string, addrs []netip.Addr) error {
	var tried []string
	for _, addr := range addrs {
		if addr.String() != host {
			tried = append(tried, addr.String())
		}
	}
	if len(tried) > 0 {
		host += " (" + strings.Join(tried, ", ") + ")"
	}
	return configError("write it on the command line (nftknock HOST tcp/7000 udp/8000), "+
		"or into one of the files that nftknock -h names", "no sequence is known for %s", host)
}
