package knock

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
)

// An Element is one step of a shared sequence: a pure SYN to a TCP port, any
// datagram to a UDP port, or an echo request.
type Element struct {
	// Protocol is packet.TCP, packet.UDP or packet.ICMP; the last stands for
	// ICMPv6 too when the knock comes over IPv6.
	Protocol packet.Protocol
	Port     uint16 // 0 for ICMP
}

// ParseElement reads the written form of an element: "tcp/50053",
// "udp/6020" or "icmp".
func ParseElement(s string) (Element, error) {
	if s == "icmp" {
		return Element{Protocol: packet.ICMP}, nil
	}
	proto, port, _ := strings.Cut(s, "/")
	var e Element
	switch proto {
	case "tcp":
		e.Protocol = packet.TCP
	case "udp":
		e.Protocol = packet.UDP
	default:
		return Element{}, fmt.Errorf("bad knock %q: want tcp/PORT, udp/PORT or icmp", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return Element{}, fmt.Errorf("bad port in knock %q: want 1 to 65535", s)
	}
	e.Port = uint16(n)
	return e, nil
}

// ParseSequence reads elements separated by commas and optional blanks, the
// form of the 2004 client's configuration file. A trailing comma is allowed.
func ParseSequence(s string) ([]Element, error) {
	var seq []Element
	for field := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(s), ","), ",") {
		e, err := ParseElement(strings.TrimSpace(field))
		if err != nil {
			return nil, err
		}
		seq = append(seq, e)
	}
	if len(seq) < MinSequence {
		return nil, errors.New("a sequence needs two elements or more")
	}
	return seq, nil
}

// String gives the form that ParseElement reads.
func (e Element) String() string {
	if e.Protocol == packet.ICMP {
		return "icmp"
	}
	return e.Protocol.String() + "/" + strconv.Itoa(int(e.Port))
}

// The lengths a shared sequence may have.
const (
	MinSequence = 2
	MaxSequence = 32
)
