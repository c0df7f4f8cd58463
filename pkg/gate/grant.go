package gate

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Grant lets one source through to a service for a limited time.
type Grant struct {
	// Source is an address without a zone; an IPv4 address inside an IPv6
	// one means the IPv4 address.
	Source  netip.Addr
	Service Service
	// Timeout is MinTimeout at least; the kernel counts it in milliseconds.
	Timeout time.Duration
	// Comment is shown beside the grant by nft and by Grants. What nft could
	// not print on one line is replaced, and the rest cut off after
	// MaxComment bytes.
	Comment string

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
	// under a millisecond is none at all, and the door would stay open: the
	// floor is far enough from there.
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
	if err := g.Service.validate(); err != nil {
		return err
	}
	if g.Timeout < MinTimeout {
		return fmt.Errorf("bad timeout %v: want %v or more", g.Timeout, MinTimeout)
	}
	return nil
}

func validateSource(source netip.Addr) error {
	switch {
	case !source.IsValid():
		return fmt.Errorf("bad source: no address")
	case source.Zone() != "":
		return fmt.Errorf("bad source %q: a grant cannot hold a zone", source)
	case source.Unmap().IsUnspecified(), source.Unmap().IsMulticast():
		return fmt.Errorf("bad source %q: no host sends from there", source)
	}
	return nil
}

// normal is the grant as the kernel will hold it.
func (g Grant) normal() Grant {
	return Grant{
		Source:  g.Source.Unmap(),
		Service: g.Service,
		Timeout: g.Timeout.Truncate(time.Millisecond),
		Comment: printable(g.Comment),
	}
}

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
	if c := a.Source.Compare(b.Source); c != 0 {
		return c
	}
	return compareServices(a.Service, b.Service)
}

// single is the service of one of the ports of s, the nth from 0.
func (s Service) single(n int) Service {
	port := s.First + uint16(n)
	return Service{Protocol: s.Protocol, First: port, Last: port}
}
