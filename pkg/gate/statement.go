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
		if s.text != "" {
			words = append(words, s.text)
		}
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

// with is the rule with more statements behind it.
func (r rule) with(more ...statement) rule {
	return append(append(rule{}, r...), more...)
}

func equal(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: data}
}

func differs(data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: data}
}

// anyBit matches if one of the bits of a mask is set in reg1.
func anyBit(mask []byte) []expr.Any {
	zero := make([]byte, len(mask))
	return []expr.Any{
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: uint32(len(mask)), Mask: mask, Xor: zero},
		differs(zero...),
	}
}

func loadProtocol(register uint32) expr.Any {
	return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}
}

func ofProtocol(p packet.Protocol) []expr.Any {
	return []expr.Any{loadProtocol(reg1), equal(byte(p))}
}

// Verdicts.

func accept() statement { return verdict("accept", expr.VerdictAccept, "") }
func drop() statement   { return verdict("drop", expr.VerdictDrop, "") }

func goTo(chain string) statement { return verdict("goto "+chain, expr.VerdictGoto, chain) }
func jump(chain string) statement { return verdict("jump "+chain, expr.VerdictJump, chain) }

func verdict(text string, kind expr.VerdictKind, chain string) statement {
	return statement{text, []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}}
}

func rejectWithReset() statement {
	return statement{"meta l4proto tcp reject with tcp reset",
		append(ofProtocol(packet.TCP), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})}
}

// rejectUnreachable answers with port unreachable in the packet's own family.
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

// Where a packet comes from and goes to.

func fromInterface(name string) statement {
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return statement{fmt.Sprintf("iifname %q", name), []expr.Any{loadInterface(), equal(data...)}}
}

func fromInterfaceIn(set string) statement {
	return statement{"iifname @" + set, []expr.Any{loadInterface(), &expr.Lookup{SourceRegister: reg1, SetName: set}}}
}

func loadInterface() expr.Any { return &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1} }

// toLocalAddress matches packets to an address of this host.
func toLocalAddress() statement {
	return statement{"fib daddr type local", []expr.Any{
		&expr.Fib{Register: reg1, FlagDADDR: true, ResultADDRTYPE: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}}
}

// toLocalOfDevice matches packets to an address of the device they came in by.
// Linux before 6.12 looks into the table of the device's VRF for this question
// alone.
func toLocalOfDevice() statement {
	return statement{"fib daddr . iif type local", []expr.Any{
		&expr.Fib{Register: reg1, FlagDADDR: true, FlagIIF: true, ResultADDRTYPE: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}}
}

// toAnotherHost matches packets that are to be forwarded, as far as the kernel's
// tables of local addresses say. They do not know an address that is local in
// another routing table.
func toAnotherHost() statement {
	return statement{"fib daddr type unicast fib daddr . iif type != local", []expr.Any{
		&expr.Fib{Register: reg1, FlagDADDR: true, ResultADDRTYPE: true},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_UNICAST)...),
		&expr.Fib{Register: reg1, FlagDADDR: true, FlagIIF: true, ResultADDRTYPE: true},
		differs(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}}
}

// Kinds of packets.

func echoRequest(f family) statement {
	exprs := append(f.guard(), ofProtocol(f.icmp)...)
	return statement{f.icmpWord + " type echo-request", append(exprs,
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Len: 1},
		equal(f.echoRequest),
	)}
}

func overUDP() statement { return statement{"meta l4proto udp", ofProtocol(packet.UDP)} }

func overProtocolIn(set string) statement {
	return statement{"meta l4proto @" + set, []expr.Any{loadProtocol(reg1), &expr.Lookup{SourceRegister: reg1, SetName: set}}}
}

func loadFlags() []expr.Any {
	return append(ofProtocol(packet.TCP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1})
}

// pureSYN matches what opens a TCP connection; ECE, CWR, PSH and URG may be
// anything (RFC 3168 sets the first two on honest SYNs).
func pureSYN() statement {
	return statement{"tcp flags syn / fin,syn,rst,ack", append(loadFlags(), opening(), equal(byte(packet.SYN)))}
}

// notSYN matches every other segment.
func notSYN() statement {
	return statement{"tcp flags != syn / fin,syn,rst,ack", append(loadFlags(), opening(), differs(byte(packet.SYN)))}
}

func opening() expr.Any {
	const mask = packet.FIN | packet.SYN | packet.RST | packet.ACK
	return &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 1, Mask: []byte{byte(mask)}, Xor: []byte{0}}
}

// ackOrRST matches what may belong to a connection that stands.
func ackOrRST() statement {
	return statement{"tcp flags rst,ack", append(loadFlags(), anyBit([]byte{byte(packet.RST | packet.ACK)})...)}
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
			SourceRegister: reg2, DestRegister: reg1, Length: f.addrLen(),
			Modulus: uint32(workers), Seed: workerSeed, Type: expr.HashTypeJenkins,
		},
		equal(binaryutil.NativeEndian.PutUint32(uint32(n))...),
	)}
}
