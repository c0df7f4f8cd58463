package gate

import (
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// What the kernel knows of the connection that a packet belongs to.

// LabelBits is the number of bits of a conntrack label
// (NF_CT_LABELS_MAX_SIZE in linux/netfilter/xt_connlabel.h).
const LabelBits = 128

// labelData is a label as nft has it: bit n of 16 bytes.
func labelData(n uint8) []byte {
	data := make([]byte, LabelBits/8)
	data[n/8] = 1 << (n % 8)
	return data
}

// admittedAt matches packets of connections that have our label of a checkpoint.
func (r *Ruleset) admittedAt(at checkpoint) match {
	n := at.label(r)
	return match{fmt.Sprintf("ct label %d", n),
		append([]expr.Any{&expr.Ct{Key: expr.CtKeyLABELS, Register: reg1}}, anyBit(labelData(n))...)}
}

// setLabel gives the connection our label of a checkpoint. It does nothing where
// there is no entry, or none with room for labels: a later match for the label
// shows whether it was set.
func (r *Ruleset) setLabel(at checkpoint) statement {
	n := at.label(r)
	return statement{fmt.Sprintf("ct label set %d", n), []expr.Any{
		&expr.Immediate{Register: reg1, Data: labelData(n)},
		&expr.Ct{Key: expr.CtKeyLABELS, Register: reg1, SourceRegister: true},
	}}
}

// isAnswer matches packets that go against the direction in which their
// connection began: this host, or one behind it, began it.
func isAnswer() match {
	const reply = 1 // IP_CT_DIR_REPLY
	return match{"ct direction reply", []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg1}, equal(reply)}}
}

// isNew matches packets of a connection without an answer so far.
func isNew() match {
	return match{"ct state new", append([]expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: reg1}},
		anyBit(binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW))...)}
}

// isTranslated matches packets of connections whose destination was
// translated.
func isTranslated() match {
	const dnat = 1 << 5 // IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h
	return match{"ct status dnat", append([]expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: reg1}},
		anyBit(binaryutil.NativeEndian.PutUint32(dnat))...)}
}

// hasSocket matches if this host has a socket for the packet's connection: a
// connected one, or one that listens on the packet's address alone ("wildcard" is
// a socket that listens on all addresses). The kernel refuses it in chains that
// the forward hook reaches.
func hasSocket() match {
	return match{"socket wildcard 0", []expr.Any{
		&expr.Socket{Key: expr.SocketKeyWildcard, Register: reg1}, equal(0),
	}}
}

// hasDemuxed matches if early demux has found a socket for the packet: one that
// is connected, or the request of a handshake, in whose place the kernel reads
// the listener (sk_to_full_sk). Early demux finds no listener.
func hasDemuxed() match {
	// Without a socket the expression breaks off and matches nothing. Every full
	// socket has a class of the net_cls cgroup, and none has this number.
	return match{"meta cgroup != 4294967295", []expr.Any{
		&expr.Meta{Key: expr.MetaKeyCGROUP, Register: reg1}, differs(0xff, 0xff, 0xff, 0xff),
	}}
}

// loadTuple puts the tuple of a packet into the row of registers from reg1 on:
// protocol, source, its port, destination, its port.
func (f family) loadTuple() []expr.Any {
	width := words(f.addrLen())
	// The guard comes first: the offsets of the addresses are those of one family.
	return append(f.guard(),
		loadProtocol(register(0)),
		f.loadSource(register(1)),
		&expr.Payload{DestRegister: register(1 + width), Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		f.loadDestination(register(2+width)),
		&expr.Payload{DestRegister: register(2 + 2*width), Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	)
}

// tupleText is how nft prints the tuple; the ports' header is "th" where it
// does not know the protocol.
func (f family) tupleText(header string) string {
	return fmt.Sprintf("meta l4proto . %s saddr . %s sport . %s daddr . %s dport", f.word, header, f.word, header)
}

// tupleIn matches packets whose tuple is in a set.
func tupleIn(f family, set string) match {
	return match{f.tupleText("th") + " @" + set,
		append(f.loadTuple(), lookup(set))}
}

// updateTuple adds the packet's tuple to a set, or gives one that is there its
// full time again.
func updateTuple(f family, set, header string) statement {
	return statement{fmt.Sprintf("update @%s { %s }", set, f.tupleText(header)),
		append(f.loadTuple(), &expr.Dynset{SrcRegKey: reg1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE})}
}

// updateTCPTuple is updateTuple for TCP, whose connections may be silent for
// days.
func updateTCPTuple(f family, set string) statement {
	return statement{fmt.Sprintf("update @%s { %s timeout 5d }", set, f.tupleText("tcp")),
		append(append(ofProtocol(packet.TCP), f.loadTuple()...), &expr.Dynset{
			SrcRegKey: reg1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: keptTCP,
		})}
}
