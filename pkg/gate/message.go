package gate

import (
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Packets that hold a whole knock in their payload, of single packet authorization. They
// may go to so many ports that their payload has to tell them from the traffic of the
// host: to log every datagram would cost more than all the rest of the table.
//
// The payload is base64 of 140 to 1500 characters (package spa), of which the first has
// four fixed bits: it is one of "+", "/", "8" and "9". The rules ask for that and for the
// clear high bits of the next three characters, which one random payload in 512 has. They
// give no verdict, and return to the caller: what becomes of the packet is decided by
// the rules that it would have met without them.

// The lengths of a payload in bytes, and of the headers before it.
const (
	leastMessage, mostMessage = 140, 1500
	udpHeader, icmpHeader     = 8, 8
	ipv4Header, ipv4Longest   = 20, 60
	tcpHeader                 = 20 // without options
)

// spaProtocols are those whose packets may hold a message.
var spaProtocols = []packet.Protocol{packet.TCP, packet.UDP, packet.ICMP}

// messagesOf are the ports of one protocol in Messages, joined where they overlap.
func (r *Ruleset) messagesOf(p packet.Protocol) []port.Range {
	var list []port.Range
	for _, s := range port.Normal(r.Messages) {
		if s.Protocol == p {
			list = append(list, s)
		}
	}
	return list
}

// messageChains are the chains that messages go through, each before those that send
// packets to it.
func (r *Ruleset) messageChains() []chain {
	var list []chain
	for _, p := range spaProtocols {
		ports := r.messagesOf(p)
		if len(ports) == 0 {
			continue
		}
		if list == nil {
			list = append(list, chain{name: "spa", rules: r.logMessages()})
		}
		list = append(list,
			chain{name: messageChain(p) + "_ports", rules: messagePorts(p, ports)},
			chain{name: messageChain(p), rules: messagePayloads(p)})
	}
	return list
}

func messageChain(p packet.Protocol) string { return "spa_" + p.String() }

// enterMessages sends the packets of a protocol that may hold a message to its chain.
func (r *Ruleset) enterMessages(p packet.Protocol, do func(chain string) statement) []rule {
	switch {
	case len(r.messagesOf(p)) == 0:
		return nil
	case p == packet.TCP:
		// The SYNs of all systems have options. Those of fwknop's client have none, and a
		// payload.
		return []rule{when(pureSYN(), withoutOptions()).do(do(messageChain(p)))}
	}
	return []rule{when(overProtocol(p)).do(do(messageChain(p)))}
}

// messagePayloads asks whether the payload can be a message.
func messagePayloads(p packet.Protocol) []rule {
	var rules []rule
	for _, first := range []struct{ mask, value byte }{
		{0xfe, '8'}, // and "9"
		{0xfb, '+'}, // and "/"
	} {
		matches := append(messageLength(p), payloadBegins(p, first.mask, first.value))
		rules = append(rules, when(matches...).do(goTo(messageChain(p)+"_ports")))
	}
	return rules
}

// messageLength asks for the length of a packet with a message. TCP has no field for it:
// the match for the payload finds that there is one.
func messageLength(p packet.Protocol) []match {
	switch p {
	case packet.UDP:
		return []match{between("udp length", append(ofProtocol(p), loadBig16(expr.PayloadBaseTransportHeader, 4)),
			udpHeader+leastMessage, udpHeader+mostMessage)}
	case packet.ICMP:
		// ICMP is IPv4's, so that the field of its header may be asked for.
		return []match{overProtocol(p), between("ip length", append(ipv4().guard(), loadBig16(expr.PayloadBaseNetworkHeader, 2)),
			ipv4Header+icmpHeader+leastMessage, ipv4Longest+icmpHeader+mostMessage)}
	}
	return nil
}

// messagePorts sends messages to the ports of the ruleset on, unless they belong to what
// conntrack knows.
func messagePorts(p packet.Protocol, ports []port.Range) []rule {
	var rules []rule
	switch p {
	case packet.UDP:
		// Answers to this host, and datagrams of a flow that this host answers. Every
		// message comes from a port of its own.
		rules = append(rules, when(isEstablished()).do(back()))
	case packet.ICMP:
		// Answers to this host's echo requests. Echo requests to it are established
		// from the second on, and may be messages.
		return []rule{when(isAnswer()).do(back()), always(goTo("spa"))}
	}
	for _, s := range ports {
		if s.Ports() == 65535 {
			return append(rules, always(goTo("spa")))
		}
		rules = append(rules, when(destinationPort.in(s)).do(goTo("spa")))
	}
	return rules
}

// logMessages logs what goes to this host by a guarded interface.
func (r *Ruleset) logMessages() []rule {
	unguarded := r.passUnguarded()
	unguarded.statements = []statement{back()}
	return append([]rule{unguarded, when(toAnotherHost()).do(back())}, r.log(nil)...)
}

// payloadBegins matches a payload whose first byte has a value under a mask, and whose next
// three bytes are ASCII.
func payloadBegins(p packet.Protocol, mask, value byte) match {
	offset := uint32(udpHeader) // ICMP's is as long
	if p == packet.TCP {
		offset = tcpHeader
	}
	masks, values := []byte{mask, 0x80, 0x80, 0x80}, []byte{value, 0, 0, 0}
	return match{fmt.Sprintf("@th,%d,32 & 0x%x == 0x%x", offset*8, masks, values), []expr.Any{
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: masks, Xor: make([]byte, 4)},
		equal(values...),
	}}
}

// between matches what load puts into reg1 against two bounds, both included.
func between(word string, load []expr.Any, least, most uint16) match {
	return match{fmt.Sprintf("%s %d-%d", word, least, most), append(load,
		&expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(least)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(most)})}
}

func loadBig16(base expr.PayloadBase, offset uint32) expr.Any {
	return &expr.Payload{DestRegister: reg1, Base: base, Offset: offset, Len: 2}
}

// withoutOptions matches TCP segments whose header has no options.
func withoutOptions() match {
	const offsetMask, words = 0xf0, tcpHeader / 4
	return match{fmt.Sprintf("tcp doff %d", words), append(ofProtocol(packet.TCP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 12, Len: 1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 1, Mask: []byte{offsetMask}, Xor: []byte{0}},
		equal(words<<4))}
}

// isEstablished matches packets of flows of which conntrack has seen both directions.
func isEstablished() match {
	return match{"ct state established", append([]expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: reg1}},
		anyBit(binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED))...)}
}

// back ends the chain, and goes on behind the jump to it.
func back() statement { return verdict("return", expr.VerdictReturn, "") }
