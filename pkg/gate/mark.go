package gate

import (
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// In ModeMark the chains are those of ModeGate, and find the same packets: those that
// have a grant, and those of the connections that these began. Where ModeGate would let
// one pass, it gets the bit; where ModeGate would refuse one, it loses the bit, should
// anything have set it before, and goes on. No other bit of the mark is changed.
//
// Not taken over is what lets packets pass without a grant: connections that existed
// before the table, and those of which a socket is known. They get no bit, as the other
// table has to know about them by itself ("ct state established"). Packets of connections
// that a grant admitted get the bit as long as these last, so that the other table need not.

// setMark sets the bit in the packet's mark.
func (r *Ruleset) setMark() statement {
	return statement{fmt.Sprintf("meta mark set meta mark | 0x%08x", r.Mark), changeMark(^r.Mark, r.Mark)}
}

// clearMark clears it.
func (r *Ruleset) clearMark() statement {
	return statement{fmt.Sprintf("meta mark set meta mark & 0x%08x", ^r.Mark), changeMark(^r.Mark, 0)}
}

// changeMark keeps some bits of the mark, and then inverts some.
func changeMark(keep, invert uint32) []expr.Any {
	// The mark is a number in the order of this host's bytes.
	number := binaryutil.NativeEndian.PutUint32
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: number(keep), Xor: number(invert)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1, SourceRegister: true},
	}
}

// letPass are the statements for a packet that has a grant, or belongs to a connection
// that had one.
func (r *Ruleset) letPass() []statement {
	if r.marks() {
		return []statement{r.setMark(), accept()}
	}
	return []statement{accept()}
}
