package client

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
)

// Request is the command line of the client, with the hosts in its files.
type Request struct {
	// Host is a name or an address, IPv6 with or without brackets. It may be empty if
	// the stanza has a server.
	Host    string
	Network Network // IP if empty
	// Stanza is the name of a stanza, which is then used instead of an entry for the
	// host; or empty.
	Stanza string
	// Settings override those in the files.
	Settings Settings
	// Login is the login name of the user, the default of Settings.User.
	Login string
	// Hosts are the entries of all files. Earlier ones take precedence.
	Hosts []Host
}

// Plan is a knock without its keys. Its Settings are complete.
type Plan struct {
	// Name is the name of the server on the command line or in a file.
	Name string
	Dst  netip.Addr // IPv4 is never mapped into IPv6
	Settings
	// Origin is where the settings come from: FILE:LINE or "command line".
	Origin string
	// Warnings are for the person.
	Warnings []string
}

// Plan combines the request with an entry of the files: one whose name is the host as
// typed, else one whose name is an address of the host; stanzas come after other entries.
// It resolves a name once. Of several addresses it uses the first, unless an entry names
// another.
func (r Request) Plan(ctx context.Context, lookup Lookup) (*Plan, error) {
	r.Network = cmp.Or(r.Network, IP)
	if r.Settings.Kind == "" && r.Settings.Sequence != nil {
		r.Settings.Kind = Shared
	}
	host, entry, err := r.target()
	if err != nil {
		return nil, err
	}
	addrs, err := r.resolve(ctx, host, lookup)
	if err != nil {
		return nil, err
	}
	p := &Plan{Name: cmp.Or(unbracket(r.Host), r.Stanza), Dst: addrs[0]}
	if entry == nil {
		// An entry for one of the addresses is an entry for the host.
		if entry, p.Dst = r.findAddress(addrs); entry == nil && r.Settings.Kind == "" {
			return nil, unknown(host, addrs)
		}
	}
	if entry != nil && entry.Err != nil {
		// A mistake in a stanza does not matter to a knock of another kind.
		if cmp.Or(r.Settings.Kind, entry.Settings.Kind) == entry.Settings.Kind {
			return nil, entry.Err
		}
		entry = nil
	}
	p.settle(r.Settings, entry)
	if err := p.complete(r.Login); err != nil {
		return nil, err
	}
	return p, nil
}

// target returns the host to resolve, and its entry or nil.
func (r Request) target() (host string, entry *Host, err error) {
	host = unbracket(r.Host)
	if r.Stanza != "" {
		if entry, err = r.findStanza(); err != nil {
			return "", nil, err
		}
		if host == "" {
			host = unbracket(entry.Settings.Address)
		}
		if host == "" {
			return "", nil, configError("put SPA_SERVER into it, or name the host: nftknock -n STANZA HOST",
				"%s: stanza %q has no SPA_SERVER", entry.Origin, entry.Name)
		}
	}
	if !isHost(host) {
		return "", nil, configError("the host comes first and alone: nftknock ssh.example.org tcp/7000 udp/8000",
			"bad host %q", r.Host)
	}
	if r.Stanza != "" {
		return host, entry, nil
	}
	if entry = r.find(host); entry != nil && entry.Settings.Address != "" {
		host = unbracket(entry.Settings.Address)
	}
	return host, entry, nil
}

// settle joins what the person typed with an entry, which may be nil.
func (p *Plan) settle(typed Settings, entry *Host) {
	p.Settings, p.Origin = typed, "command line"
	if entry == nil {
		return
	}
	p.Settings = typed.over(entry.Settings)
	// Only the address of an entry of another kind was used.
	if p.Kind == entry.Settings.Kind {
		p.Warnings = slices.Clone(entry.Warnings)
		if typed.Sequence == nil {
			p.Origin = entry.Origin
		}
	}
}

// complete fills in defaults, and refuses settings that contradict each other or
// are missing.
func (p *Plan) complete(login string) error {
	p.Settings = p.over(defaults(p.Kind, p.Encoding))
	if err := p.missing(); err != nil {
		return err
	}
	if m := p.check(); m != nil {
		return &Error{Err: m, Config: true}
	}
	if p.Kind == SPA && !p.wantsHMAC() {
		p.Warnings = append(p.Warnings, "the packet has no HMAC, so that the server cannot tell whether it was altered on its way: "+
			"fwknopd accepts it if it has no HMAC key either, nftknockd with allow_unauthenticated")
	}
	if p.User != "" || !asks(p.Kind) {
		return nil
	}
	var err error
	if p.User, err = parseUser(login); err != nil {
		return configError("name a user with --user", "the login name %q cannot stand in a knock", login)
	}
	return nil
}

// asks reports whether a kind of knock says what to open, and for whom.
func asks(k Kind) bool { return k == Encrypted || k == SPA }
