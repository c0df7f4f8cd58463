package gate

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nftknock/pkg/invalid"
	"nftknock/pkg/port"
)

// A Grant lets one source through to a service for a limited time.
type Grant struct {
	// Source is an address, as a prefix of its whole length, or a prefix for
	// which the ruleset has an Opening. Bits behind its length do not count; an
	// IPv4 address inside an IPv6 one means the IPv4 address.
	Source  netip.Prefix
	Service port.Range
	// Once: the first connection, or datagram, uses the grant up. The ruleset
	// must have an Opening for that.
	Once bool
	// Forward is where the packets go instead of the Service of this host: to a port of
	// another host, or to another port of this one. The ruleset must have Forward set,
	// and Source be a single address of the target's family, Service a single port. The
	// zero Target is none.
	Forward port.Target
	// Masquerade has the host of Forward see this host's address in place of the source's.
	Masquerade bool
	// Timeout is MinTimeout at least; the kernel counts it in milliseconds.
	Timeout time.Duration
	// Access is whose quota the grant takes, and Method how the source got it. nft
	// and Grants show both beside the grant. What nft could not print on one
	// line is replaced, and the rest cut off after MaxComment bytes; a blank in
	// Access becomes an underscore.
	Access, Method string

	// The following are filled in by Grants.

	// Remaining is the time left.
	Remaining time.Duration
	// Packets and Bytes count what the grant let through since it was given
	// or renewed: the packets that open connections, and not those of
	// established ones, which need no grant.
	Packets, Bytes uint64
}

const (
	// MinTimeout is the shortest timeout of a grant. To the kernel a timeout
	// under a millisecond is none at all, and the grant would not end: this is far
	// enough from there.
	MinTimeout = time.Second

	// MaxComment is the length to which nft limits a comment
	// (NFTNL_UDATA_COMMENT_MAXLEN).
	MaxComment = 128
)

// Validate reports what would make the grant void, or wider than it says.
func (g Grant) Validate() error {
	if err := validateSource(g.Source); err != nil {
		return err
	}
	if err := g.Service.CheckService(); err != nil {
		return err
	}
	if g.Timeout < MinTimeout {
		return invalid.Newf(fmt.Sprintf("%v or more", MinTimeout), "bad timeout %v", g.Timeout)
	}
	return g.validateForward()
}

func validateSource(source netip.Prefix) error {
	source = normalSource(source)
	a := source.Addr()
	switch {
	case !source.IsValid() || source.Bits() == 0:
		return invalid.New("bad source: no address", "")
	case a.Zone() != "":
		return invalid.Newf("an address without a zone", "bad source %q", a)
	case a.IsUnspecified() && source.IsSingleIP(), a.IsMulticast():
		return invalid.Newf("an address that a host can send from", "bad source %q", a)
	}
	return nil
}

// validateRange reports what cannot be a range of sources; it may be everybody.
func validateRange(sources netip.Prefix) error {
	switch {
	case !sources.IsValid():
		return invalid.New("bad source: no address", "")
	case sources.Addr().Zone() != "":
		return invalid.Newf("an address without a zone", "bad source %q", sources.Addr())
	}
	return nil
}

// normalSource is the source as the kernel will hold it, or the zero prefix
// where there is none.
func normalSource(source netip.Prefix) netip.Prefix {
	a, bits := source.Addr(), source.Bits()
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	if a.Zone() != "" {
		return source
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// Host is an address as the source of a grant.
func Host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// normal is the grant as the kernel will hold it.
func (g Grant) normal() Grant {
	access, method := parseComment(g.comment())
	return Grant{
		Source:  normalSource(g.Source),
		Service: g.Service,
		Once:    g.Once,
		Forward: g.Forward, Masquerade: g.Masquerade,
		Timeout: g.Timeout.Truncate(time.Millisecond),
		Access:  access,
		Method:  method,
	}
}

// comment is what nft shows beside the element.
func (g Grant) comment() string {
	access := strings.ReplaceAll(printable(g.Access), " ", "_")
	return printable(strings.TrimSpace(access + " " + g.Method))
}

// parseComment reads what comment wrote.
func parseComment(s string) (access, method string) {
	access, method, _ = strings.Cut(s, " ")
	return access, method
}

// element is the element that the grant is in the sets.
func (g Grant) element() element { return element{g.Source, g.Service, g.Once} }

// printable makes a comment fit between the quotes of a line of nft, which
// knows no escapes.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c == '"':
			return '\''
		case !unicode.IsPrint(c):
			return ' '
		}
		return c // invalid UTF-8 arrives as, and stays, the replacement character
	}, s)
	end := min(len(s), MaxComment)
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// compareGrants orders by source, protocol and port.
func compareGrants(a, b Grant) int {
	return cmp.Or(
		a.Source.Addr().Compare(b.Source.Addr()), cmp.Compare(a.Source.Bits(), b.Source.Bits()),
		port.Compare(a.Service, b.Service), compareBools(a.Once, b.Once))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
