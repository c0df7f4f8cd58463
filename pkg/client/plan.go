package client

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
)

// Request is what a person asked for.
type Request struct {
	// Host is a name or an address, IPv6 bare or in brackets; it may be empty
	// if Stanza has a server.
	Host    string
	Network Network // IP if empty
	// Stanza is the name of one of the Hosts that come from a stanza, the only
	// one to be asked then; or empty.
	Stanza string
	// Settings override what the files say.
	Settings Settings
	// Login is the name of the user, for where nothing says another.
	Login string
	// Hosts are the contents of the files in the order in which they are
	// to be asked.
	Hosts []Host
}

// Plan is a knock without its keys. Its Settings are complete.
type Plan struct {
	// Name is what the person or a file calls the server.
	Name string
	Dst  netip.Addr // IPv4 is never mapped into IPv6
	Settings
	// Origin says where the settings come from: FILE:LINE or "command line".
	Origin string
	// Warnings are for the person.
	Warnings []string
}

// Plan finds out what the knock is: by an entry whose name is the host as typed,
// else by one that names an address the host resolves to, each time by other
// entries before stanzas. It resolves a name once and takes the address the
// system prefers.
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

// target gives the host to resolve, and its entry or nil.
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
