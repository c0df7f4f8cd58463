package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Network limits the addresses of a name to one family, or does not.
type Network string

// The networks, as net.Resolver names them.
const (
	IP  Network = "ip"
	IP4 Network = "ip4"
	IP6 Network = "ip6"
)

// Lookup resolves a name; it is (*net.Resolver).LookupNetIP.
type Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// resolve returns one or more addresses of a host, in the order of preference.
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
	// The name server failed; it did not say that the name does not exist.
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
