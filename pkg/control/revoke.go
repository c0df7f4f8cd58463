package control

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
)

// A Revocation says which grants to end.
type Revocation struct {
	Source  netip.Prefix // the grants of sources within this prefix
	Service string       // to services within this one, such as "tcp/22"; empty for all
	Cut     bool         // end connections, too, including those that no grant admitted
}

// Revoked says what a Revocation has ended.
type Revoked struct {
	Grants      int `json:"grants"`
	Connections int `json:"connections"`
	// StillIn names the grants that continue although they are for some of the sources and
	// services: each is for a whole prefix or range of ports, of which only a part was to be
	// revoked.
	StillIn string `json:"still_in,omitempty"`
}

// Revoke has the daemon end grants and connections. The error says what the daemon could not
// do, or wraps ErrNotRunning. On error the result says what the daemon has ended before it.
func (c *Client) Revoke(ctx context.Context, r Revocation) (Revoked, error) {
	return call[Revoked](ctx, c, http.MethodPost, "/revoke?"+r.encode())
}

// parseRevocation parses the form that encode writes.
func parseRevocation(query url.Values) (Revocation, error) {
	source, err := ParseSource(query.Get("source"))
	return Revocation{Source: source, Service: query.Get("service"), Cut: query.Get("cut") == "true"}, err
}

func (r Revocation) encode() string {
	return url.Values{"source": {r.Source.String()}, "service": {r.Service}, "cut": {strconv.FormatBool(r.Cut)}}.Encode()
}

// ParseSource parses an address or a prefix, such as "192.0.2.10" or "2001:db8::/64". An
// address is the prefix of its full length. It returns an error for a prefix with host bits
// and for an address with a zone.
func ParseSource(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("bad source %q: want an address or a prefix, such as 192.0.2.10 or 2001:db8::/64", s)
	}
	// ::ffff:192.0.2.0/120 is an IPv4 prefix of 24 bits: the address begins after 96.
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("bad source %q: it has bits beyond its prefix: want %s, or the address %s", s, p.Masked(), p.Addr())
	}
	return p, nil
}
