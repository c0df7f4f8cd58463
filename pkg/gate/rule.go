package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// fragment is a part of a rule in both its forms: the text that nft prints, and
// the expressions that the kernel runs. They stand side by side so that neither
// can change alone.
//
// Text and expressions are those of nft 1.0.6 in an inet table. In
// particular, what loads an address is preceded by a check of the protocol
// family: the kernel reads past no header that way, and nft, which adds the
// check itself, prints nothing for it.
type fragment struct {
	text  string
	exprs []expr.Any
}

// A match compares something of a packet, or of its connection. Where one does
// not hold, the rest of the rule is skipped.
type match fragment

// A statement does something with the packet: a verdict, a log, a change to a set
// or to the connection's labels.
type statement fragment

// A rule carries out its statements for packets for which all its matches hold.
type rule struct {
	matches    []match
	statements []statement
}

// when begins a rule for packets for which some matches hold.
func when(matches ...match) rule { return rule{matches: matches} }

// always returns a rule for all packets that come to it.
func always(statements ...statement) rule { return rule{statements: statements} }

// do returns the rule with its statements.
func (r rule) do(statements ...statement) rule {
	r.statements = statements
	return r
}

// and returns a list of matches with more of them behind it, and leaves the list
// as it is.
func and(matches []match, more ...match) []match { return slices.Concat(matches, more) }

func (r rule) fragments() []fragment {
	var list []fragment
	for _, m := range r.matches {
		list = append(list, fragment(m))
	}
	for _, s := range r.statements {
		list = append(list, fragment(s))
	}
	return list
}

func (r rule) String() string {
	var words []string
	for _, f := range r.fragments() {
		words = append(words, f.text)
	}
	return strings.Join(words, " ")
}

func (r rule) exprs() []expr.Any {
	var list []expr.Any
	for _, f := range r.fragments() {
		list = append(list, f.exprs...)
	}
	return list
}

// Expressions that several matches have.

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

// lookup matches if the key in the row of registers from reg1 on is in a set.
func lookup(set string) expr.Any { return &expr.Lookup{SourceRegister: reg1, SetName: set} }

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

// rejectWithReset answers TCP with a reset.
func rejectWithReset() statement {
	return statement{"reject with tcp reset", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}}
}

// rejectUnreachable answers with port unreachable in the packet's own family.
func rejectUnreachable() statement {
	return statement{"reject", []expr.Any{&expr.Reject{
		Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH,
	}}}
}

// logTo copies the packet to an NFLOG group. How much of it is copied and how
// many are sent at a time are settings of the group's listener.
func logTo(group uint16) statement {
	return statement{fmt.Sprintf("log group %d", group), []expr.Any{
		// Key names the attributes that the library writes. Without a copy length
		// (NFTA_LOG_SNAPLEN) nf_tables leaves it to the listener's own.
		&expr.Log{Group: group, Key: 1 << unix.NFTA_LOG_GROUP},
	}}
}

// Matches for where a packet comes from and goes to.

func fromInterface(name string) match {
	// The kernel compares the whole of a name's 16 bytes, which end in zeros.
	data := make([]byte, unix.IFNAMSIZ)
	copy(data, name)
	return match{fmt.Sprintf("iifname %q", name), []expr.Any{loadInterface(), equal(data...)}}
}

func fromInterfaceIn(set string) match {
	return match{"iifname @" + set, []expr.Any{loadInterface(), lookup(set)}}
}

func loadInterface() expr.Any { return &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1} }

// addressType loads the type of the packet's destination address: RTN_LOCAL for
// an address of this host, RTN_UNICAST for one to forward to. With the incoming
// interface among what is asked for, only addresses of that one are local.
func addressType(ofInterface bool) expr.Any {
	return &expr.Fib{Register: reg1, FlagDADDR: true, FlagIIF: ofInterface, ResultADDRTYPE: true}
}

func isType(kind uint32) expr.Any { return equal(binaryutil.NativeEndian.PutUint32(kind)...) }

// toLocalAddress matches packets to an address of this host.
func toLocalAddress() match {
	return match{"fib daddr type local", []expr.Any{addressType(false), isType(unix.RTN_LOCAL)}}
}

// toLocalOfInterface matches packets to an address of the interface they came in
// by. Linux before 6.12 looks into the routing table of the interface's VRF for
// this question alone.
func toLocalOfInterface() match {
	return match{"fib daddr . iif type local", []expr.Any{addressType(true), isType(unix.RTN_LOCAL)}}
}

// toAnotherHost matches packets that are to be forwarded, as far as the kernel's
// tables of local addresses say. They do not know an address that is local in
// another routing table.
func toAnotherHost() match {
	return match{"fib daddr type unicast fib daddr . iif type != local", []expr.Any{
		addressType(false), isType(unix.RTN_UNICAST),
		addressType(true), differs(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}}
}

// Matches for the kind of packet.

func echoRequest(f family) match {
	exprs := append(f.guard(), ofProtocol(f.icmp)...)
	return match{f.icmpWord + " type echo-request", append(exprs,
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Len: 1},
		equal(f.echoRequest),
	)}
}

func overProtocol(p packet.Protocol) match {
	return match{"meta l4proto " + p.String(), ofProtocol(p)}
}

func overProtocolIn(set string) match {
	return match{"meta l4proto @" + set, []expr.Any{loadProtocol(reg1), lookup(set)}}
}

func loadFlags() []expr.Any {
	return append(ofProtocol(packet.TCP),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1})
}

// pureSYN matches what opens a TCP connection; ECE, CWR, PSH and URG may be
// anything (RFC 3168 sets the first two on honest SYNs).
func pureSYN() match {
	return match{"tcp flags syn / fin,syn,rst,ack", append(loadFlags(), openingFlags(), equal(byte(packet.SYN)))}
}

// notSYN matches every other segment.
func notSYN() match {
	return match{"tcp flags != syn / fin,syn,rst,ack", append(loadFlags(), openingFlags(), differs(byte(packet.SYN)))}
}

// openingFlags leaves the flags that tell a SYN from other segments.
func openingFlags() expr.Any {
	const mask = packet.FIN | packet.SYN | packet.RST | packet.ACK
	return &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 1, Mask: []byte{byte(mask)}, Xor: []byte{0}}
}

// ackOrRST matches segments that may belong to an established connection.
func ackOrRST() match {
	return match{"tcp flags rst,ack", append(loadFlags(), anyBit([]byte{byte(packet.RST | packet.ACK)})...)}
}

// workerSeed makes the hash of a source the same in every rule. Without a
// seed the kernel draws one for each rule, so that a source could belong to
// several workers, or to none.
const workerSeed = 0x6e66746b

// ofWorker matches the sources that worker n of the given number serves.
func ofWorker(f family, n, workers int) match {
	text := fmt.Sprintf("jhash %s saddr mod %d seed %#x %d", f.word, workers, workerSeed, n)
	return match{text, append(f.guard(),
		f.loadSource(reg2),
		&expr.Hash{
			SourceRegister: reg2, DestRegister: reg1, Length: f.addrLen(),
			Modulus: uint32(workers), Seed: workerSeed, Type: expr.HashTypeJenkins,
		},
		// The result of jhash is a number of this host, not of the network.
		equal(binaryutil.NativeEndian.PutUint32(uint32(n))...),
	)}
}
