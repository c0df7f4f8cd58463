package gate

import (
	"fmt"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// A statement is one part of a rule in both its forms: the text that nft
// prints, and the expressions that the kernel runs. They stand side by side
// so that neither can change alone.
//
// Text and expressions are those of nft 1.0.6 in an inet table. In
// particular, what loads an address is preceded by a check of the protocol
// family: the kernel reads past no header that way, and nft, which adds the
// check itself, prints nothing for it.
type statement struct {
	text  string
	exprs []expr.Any
}

// A rule is its statements in order.
type rule []statement

func (r rule) String() string {
	var words []string
	for _, s := range r {
		words = append(words, s.text)
	}
	return strings.Join(words, " ")
}

func (r rule) exprs() []expr.Any {
	var list []expr.Any
	for _, s := range r {
		list = append(list, s.exprs...)
	}
	return list
}

// Registers as nft allots them. The 16-byte registers 1 to 4 lie over the
// 4-byte registers 8 to 23: the fields of a concatenation that begins in
// reg1 follow it in 4-byte steps from reg8 on. A 4-byte register that begins
// where a 16-byte one does goes by the latter's name.
const (
	reg1  = unix.NFT_REG_1
	reg2  = unix.NFT_REG_2
	reg9  = unix.NFT_REG32_01
	reg10 = unix.NFT_REG32_02
	reg13 = unix.NFT_REG32_05
)

// family holds what differs between IPv4 and IPv6.
type family struct {
	nfproto     byte
	word        string // what nft calls its header
	saddrOffset uint32
	addrLen     uint32
	// Registers of the fields that follow the source in a concatenation.
	protocol, port uint32

	icmpWord    string
	icmp        packet.Protocol
	echoRequest byte
}

func ipv4() family {
	return family{
		nfproto: unix.NFPROTO_IPV4, word: "ip", saddrOffset: 12, addrLen: 4,
		protocol: reg9, port: reg10,
		icmpWord: "icmp", icmp: packet.ICMP, echoRequest: 8, // RFC 792
	}
}

func ipv6() family {
	return family{
		nfproto: unix.NFPROTO_IPV6, word: "ip6", saddrOffset: 8, addrLen: 16,
		protocol: reg2, port: reg13,
		icmpWord: "icmpv6", icmp: packet.ICMPv6, echoRequest: 128, // RFC 4443
	}
}

// guard keeps packets of the other family from what follows.
func (f family) guard() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg1},
		equal(f.nfproto),
	}
}

func (f family) loadSource(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.saddrOffset, Len: f.addrLen}
}

func equal(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: data}
}

func differs(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: data}
}

func loadProtocol(register uint32) expr.Any {
	return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}
}

func loadDestinationPort(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

func accept() statement {
	return statement{"accept", []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}}
}

func drop() statement {
	return statement{"drop", []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}}
}

func rejectWithReset() statement {
	return statement{"reject with tcp reset", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}}
}

// rejectUnreachable answers with an ICMP or ICMPv6 port unreachable, which is
// what nft means by reject alone.
func rejectUnreachable() statement {
	return statement{"reject", []expr.Any{&expr.Reject{
		Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH,
	}}}
}

// logTo copies the packet to an NFLOG group. How much of it is copied and
// how many are sent at a time is for whoever listens to the group to say.
func logTo(group uint16) statement {
	return statement{fmt.Sprintf("log group %d", group), []expr.Any{
		&expr.Log{Group: group, Key: 1 << unix.NFTA_LOG_GROUP},
	}}
}

func fromInterface(name string) statement {
	return statement{fmt.Sprintf("iifname %q", name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, equal(interfaceData(name)...),
	}}
}

func notFromInterface(name string) statement {
	return statement{fmt.Sprintf("iifname != %q", name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, differs(interfaceData(name)...),
	}}
}

// interfaceData is the name as the kernel compares it: in full to the last
// zero byte, or only its beginning.
func interfaceData(name string) []byte {
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		return []byte(prefix)
	}
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return data
}

func toLocalAddress() statement {
	return statement{"fib daddr type local", []expr.Any{
		&expr.Fib{Register: reg1, FlagDADDR: true, ResultADDRTYPE: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}}
}

func toAnotherHost() statement {
	return statement{"fib daddr type unicast", []expr.Any{
		&expr.Fib{Register: reg1, FlagDADDR: true, ResultADDRTYPE: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_UNICAST)...),
	}}
}

func ofKnownConnection() statement {
	const states = expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED
	return statement{"ct state established,related", []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(states), Xor: make([]byte, 4),
		},
		differs(0, 0, 0, 0),
	}}
}

func echoRequest(f family) statement {
	exprs := append(f.guard(), ofProtocol(f.icmp)...)
	return statement{f.icmpWord + " type echo-request", append(exprs,
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Len: 1},
		equal(f.echoRequest),
	)}
}

func ofProtocol(p packet.Protocol) []expr.Any {
	return []expr.Any{loadProtocol(reg1), equal(byte(p))}
}

// pureSYN matches what opens a TCP connection; ECE, CWR, PSH and URG may be
// anything (RFC 3168 sets the first two on honest SYNs).
func pureSYN() statement {
	const mask = packet.FIN | packet.SYN | packet.RST | packet.ACK
	return statement{"tcp flags syn / fin,syn,rst,ack", append(ofProtocol(packet.TCP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 1, Mask: []byte{byte(mask)}, Xor: []byte{0}},
		equal(byte(packet.SYN)),
	)}
}

// toServiceIn looks destination protocol and port up. The port's header has
// the name that the rule has narrowed it to by then: "th" is any transport.
func toServiceIn(set, header string) statement {
	return statement{fmt.Sprintf("meta l4proto . %s dport @%s", header, set), []expr.Any{
		loadProtocol(reg1),
		loadDestinationPort(reg9),
		&expr.Lookup{SourceRegister: reg1, SetName: set},
	}}
}

// toService matches one service without a set.
func toService(s Service) statement {
	proto, ports, _ := strings.Cut(s.String(), "/")
	return statement{fmt.Sprintf("%s dport %s", proto, ports), append(ofProtocol(s.Protocol),
		loadDestinationPort(reg1),
		&expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.First)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.Last)},
	)}
}

// overUDP and overTCP narrow a rule to one protocol. nft prints that as the
// name of the port's header in the statement that follows.
func overUDP(next statement) statement {
	return statement{next.text, append(ofProtocol(packet.UDP), next.exprs...)}
}

func overTCP(next statement) statement {
	return statement{next.text, append(ofProtocol(packet.TCP), next.exprs...)}
}

// grantedIn looks source, protocol and port up.
func grantedIn(f family, set string) statement {
	return statement{fmt.Sprintf("%s saddr . meta l4proto . th dport @%s", f.word, set), append(f.guard(),
		f.loadSource(reg1),
		loadProtocol(f.protocol),
		loadDestinationPort(f.port),
		&expr.Lookup{SourceRegister: reg1, SetName: set},
	)}
}

// workerSeed makes the hash of a source the same in every rule. Without a
// seed the kernel draws one for each rule, and a source could be nobody's.
const workerSeed = 0x6e66746b

// ofWorker matches the sources that worker n of the given number serves.
func ofWorker(f family, n, workers int) statement {
	text := fmt.Sprintf("jhash %s saddr mod %d seed %#x %d", f.word, workers, workerSeed, n)
	return statement{text, append(f.guard(),
		f.loadSource(reg2),
		&expr.Hash{
			SourceRegister: reg2, DestRegister: reg1, Length: f.addrLen,
			Modulus: uint32(workers), Seed: workerSeed, Type: expr.HashTypeJenkins,
		},
		equal(binaryutil.NativeEndian.PutUint32(uint32(n))...),
	)}
}
