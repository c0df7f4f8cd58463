package fingerprint

import (
	"encoding/binary"
	"fmt"
	"strings"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

// Words describes the headers of a pure SYN, one line per header or option. The
// sequence number is left out where it is not known, as in most logs.
func Words(p *packet.Packet, sequenceKnown bool) []string {
	s, _ := p0f.Observe(p)
	lines := []string{ipWords(p, s), tcpWords(p, s, sequenceKnown)}
	rest := p.TCP.Options
	for {
		option, after, ok := rest.Next()
		if !ok {
			break
		}
		lines = append(lines, "option "+optionWords(option))
		if option.Kind == packet.OptionEnd {
			after = nil
		}
		rest = after
	}
	if len(rest) > 0 {
		lines = append(lines, fmt.Sprintf("option %d runs past the end of the header or is malformed: % x", rest[0], []byte(rest)))
	}
	for _, quirk := range quirkWords {
		if s.Quirks&quirk.quirk != 0 {
			lines = append(lines, "quirk "+quirk.words)
		}
	}
	return lines
}

func ipWords(p *packet.Packet, s p0f.Signature) string {
	said := []string{fmt.Sprintf("%d bytes in all", p.Length)}
	ttl := "TTL"
	if p.Version == 6 {
		ttl = "hop limit"
	}
	said = append(said, fmt.Sprintf("%s %d (%d when sent, %s away)", ttl, p.TTL, s.TTL, hops(s.Hops)))
	if p.TOS != 0 {
		said = append(said, fmt.Sprintf("type of service 0x%02x", p.TOS))
	}
	if p.Version == 6 {
		said = append(said, fmt.Sprintf("flow label 0x%05x", p.FlowLabel))
		if p.Extensions > 0 {
			said = append(said, fmt.Sprintf("extension headers: %d", p.Extensions))
		}
	} else {
		said = append(said, fmt.Sprintf("ID %d", p.ID))
		if p.DontFragment {
			said = append(said, "don't fragment")
		} else {
			said = append(said, "may be fragmented")
		}
		if len(p.IPOptions) > 0 {
			said = append(said, fmt.Sprintf("options % x", p.IPOptions))
		}
	}
	return fmt.Sprintf("IPv%d: %s", p.Version, strings.Join(said, ", "))
}

// flagNames are those beside SYN, in the order of the header.
var flagNames = []struct {
	flag packet.TCPFlags
	name string
}{
	{packet.AE, "AE"}, {packet.CWR, "CWR"}, {packet.ECE, "ECE"}, {packet.URG, "URG"}, {packet.PSH, "PSH"},
}

func tcpWords(p *packet.Packet, s p0f.Signature, sequenceKnown bool) string {
	flags := []string{"SYN"}
	for _, f := range flagNames {
		if p.TCP.Flags&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	window := fmt.Sprintf("window %d", p.TCP.Window)
	switch s.Window.Rule {
	case p0f.WindowMSS:
		window += fmt.Sprintf(" (%d segments)", s.Window.N)
	case p0f.WindowMTU:
		window += fmt.Sprintf(" (%d packets)", s.Window.N)
	}
	said := []string{strings.Join(flags, " "), window}
	if sequenceKnown {
		said = append(said, fmt.Sprintf("sequence number %d", p.TCP.Seq))
	}
	if p.TCP.Ack != 0 {
		said = append(said, fmt.Sprintf("acknowledgement number %d", p.TCP.Ack))
	}
	if p.TCP.Urgent != 0 {
		said = append(said, fmt.Sprintf("urgent pointer %d", p.TCP.Urgent))
	}
	if len(p.Payload) > 0 {
		said = append(said, fmt.Sprintf("%d bytes of data", len(p.Payload)))
	}
	return "TCP: " + strings.Join(said, ", ")
}

func optionWords(o packet.Option) string {
	switch {
	case o.Kind == packet.OptionEnd && len(o.Data) == 0:
		return "end of options"
	case o.Kind == packet.OptionEnd:
		return fmt.Sprintf("end of options, and behind it % x", o.Data)
	case o.Kind == packet.OptionNOP:
		return "no operation"
	case o.Kind == packet.OptionMSS && len(o.Data) == 2:
		return fmt.Sprintf("maximum segment size: %d bytes", binary.BigEndian.Uint16(o.Data))
	case o.Kind == packet.OptionWindowScale && len(o.Data) == 1:
		return fmt.Sprintf("window scale: %d (windows count times %d)", o.Data[0], 1<<min(o.Data[0], 14))
	case o.Kind == packet.OptionSACKPermitted && len(o.Data) == 0:
		return "selective acknowledgements permitted"
	case o.Kind == packet.OptionTimestamps && len(o.Data) == 8:
		return fmt.Sprintf("timestamps: own %d, echoed %d", binary.BigEndian.Uint32(o.Data), binary.BigEndian.Uint32(o.Data[4:]))
	case o.Kind == packet.OptionMPTCP:
		return fmt.Sprintf("Multipath TCP: % x", o.Data)
	case o.Kind == packet.OptionFastOpen && len(o.Data) == 0:
		return "Fast Open, asking for a cookie"
	case o.Kind == packet.OptionFastOpen:
		return fmt.Sprintf("Fast Open, cookie % x", o.Data)
	}
	return fmt.Sprintf("%d: % x", o.Kind, o.Data)
}

// quirkWords are in the order in which signatures name the quirks.
var quirkWords = []struct {
	quirk p0f.Quirk
	words string
}{
	{p0f.QuirkDF, "df: it must not be fragmented"},
	{p0f.QuirkIDNonZero, "id+: and yet its ID is not zero"},
	{p0f.QuirkIDZero, "id-: it may be fragmented, and yet its ID is zero"},
	{p0f.QuirkECN, "ecn: it asks for explicit congestion notification"},
	{p0f.QuirkReserved, "0+: the reserved IP flag is set"},
	{p0f.QuirkFlow, "flow: it has a flow label"},
	{p0f.QuirkSeqZero, "seq-: its sequence number is zero"},
	{p0f.QuirkAckNonZero, "ack+: it acknowledges nothing, and yet there is a number"},
	{p0f.QuirkUrgNonZero, "uptr+: nothing is urgent, and yet there is a pointer"},
	{p0f.QuirkURG, "urgf+: URG is set"},
	{p0f.QuirkPSH, "pushf+: PSH is set"},
	{p0f.QuirkTSZero, "ts1-: its own timestamp is zero"},
	{p0f.QuirkTSPeer, "ts2+: it echoes a timestamp, though there was none to echo"},
	{p0f.QuirkPadding, "opt+: bytes behind the end of options are not all zero"},
	{p0f.QuirkScale, "exws: its window scale is beyond what is allowed, 14"},
	{p0f.QuirkBad, "bad: its options are malformed"},
}
