package p0f

import (
	"errors"
	"fmt"
	"strings"
)

// Quirk is a set of oddities of a SYN.
type Quirk uint32

// The quirks, with their names in p0f version 3.
const (
	QuirkDF         Quirk = 1 << iota // df: "don't fragment" set (IPv4)
	QuirkIDNonZero                    // id+: DF set but ID not zero (IPv4)
	QuirkIDZero                       // id-: DF clear but ID zero (IPv4)
	QuirkECN                          // ecn: ECT in the IP header, or ECE, CWR or AE set
	QuirkReserved                     // 0+: reserved IP flag set (IPv4)
	QuirkFlow                         // flow: flow label not zero (IPv6)
	QuirkSeqZero                      // seq-: sequence number is zero
	QuirkAckNonZero                   // ack+: ACK clear but acknowledgement number not zero
	QuirkAckZero                      // ack-: ACK set but acknowledgement number zero
	QuirkUrgNonZero                   // uptr+: URG clear but urgent pointer not zero
	QuirkURG                          // urgf+: URG set
	QuirkPSH                          // pushf+: PSH set
	QuirkTSZero                       // ts1-: own timestamp is zero
	QuirkTSPeer                       // ts2+: echoed timestamp is not zero
	QuirkPadding                      // opt+: bytes after the end of options not all zero
	QuirkScale                        // exws: window scale above 14
	QuirkBad                          // bad: malformed options
)

// The quirks that only signatures of p0f version 2 can name.
const (
	quirkIDNull    Quirk = 1 << (iota + 17) // the ID is zero, whether or not DF is set (IPv4)
	quirkIPOptions                          // there are IP options (IPv4)
	quirkUrgent                             // urgent pointer not zero, whether or not URG is set
	quirkFlags                              // PSH or URG
	quirkOffset                             // AE or a reserved bit is set, beside the data offset
	quirkPadded                             // there are bytes after the end of options
	quirkSeqAck                             // sequence and acknowledgement number are equal

	quirksOld = quirkIDNull | quirkIPOptions | quirkUrgent | quirkFlags | quirkOffset | quirkPadded | quirkSeqAck
)

// The quirks that exist in one IP version only, and those that a packet may lose or
// gain on the way and still fit, with confidence Low: firewalls clear DF and
// set a new ID, routers set ECN bits.
const (
	quirksIPv4     = QuirkDF | QuirkIDNonZero | QuirkIDZero | QuirkReserved
	quirksIPv6     = QuirkFlow
	quirksLosable  = QuirkDF | QuirkIDNonZero
	quirksGainable = QuirkIDZero | QuirkECN
)

var quirkNames = [...]string{
	"df", "id+", "id-", "ecn", "0+", "flow", "seq-", "ack+", "ack-",
	"uptr+", "urgf+", "pushf+", "ts1-", "ts2+", "opt+", "exws", "bad",
}

// Condition is a set of relations between fields of a SYN by which a tool can be
// recognised. A condition that a signature does not name is not compared, unlike a
// quirk: SYNs of any system meet one by chance.
type Condition uint8

const (
	// CondID is "id=N": the IPv4 ID is Signature.ID.
	CondID Condition = 1 << iota
	// CondIDMixed is "id=dst^dport^seq": the IPv4 ID is the low half of
	// destination address, destination port and sequence number, combined by
	// exclusive or.
	CondIDMixed
	// CondSeqDst is "seq=dst": the sequence number is the IPv4 destination
	// address.
	CondSeqDst
)

const (
	tokenID      = "id="
	tokenIDMixed = "id=dst^dport^seq"
	tokenSeqDst  = "seq=dst"
)

// parseQuirks reads the quirks field into s, whose Version must be set.
func (s *Signature) parseQuirks(field string) error {
	if field == "" {
		return nil
	}
	for token := range strings.SplitSeq(field, ",") {
		fresh, err := s.addQuirk(token)
		if err != nil {
			return err
		}
		if !fresh {
			return fmt.Errorf("%q is listed twice", token)
		}
	}
	both := s.Quirks | s.Optional
	switch {
	case s.Version == 6 && (both&quirksIPv4 != 0 || s.Conditions != 0):
		return errors.New("df, id+, id-, 0+ and conditions exist in IPv4 only, and the signature is for IPv6")
	case s.Version == 4 && both&quirksIPv6 != 0:
		return errors.New("flow exists in IPv6 only, and the signature is for IPv4")
	case s.Version == 0 && s.Conditions != 0:
		return errors.New("conditions exist in IPv4 only: want version 4")
	}
	return nil
}

// addQuirk adds one token; fresh is false if s had it already.
func (s *Signature) addQuirk(token string) (fresh bool, err error) {
	switch {
	case token == tokenIDMixed:
		return s.addCondition(CondIDMixed), nil
	case token == tokenSeqDst:
		return s.addCondition(CondSeqDst), nil
	case strings.HasPrefix(token, tokenID):
		id, err := parseNumber(token[len(tokenID):], 0, 65535)
		if err != nil {
			return false, err
		}
		s.ID = uint16(id)
		return s.addCondition(CondID), nil
	}
	name, optional := strings.CutSuffix(token, "?")
	for i, known := range quirkNames {
		if name != known {
			continue
		}
		q := Quirk(1) << i
		fresh := (s.Quirks|s.Optional)&q == 0
		if optional {
			s.Optional |= q
		} else {
			s.Quirks |= q
		}
		return fresh, nil
	}
	return false, fmt.Errorf("unknown quirk %q", token)
}

func (s *Signature) addCondition(c Condition) (fresh bool) {
	fresh = s.Conditions&c == 0
	s.Conditions |= c
	return fresh
}

// appendQuirks appends the form that parseQuirks reads.
func (s *Signature) appendQuirks(b []byte) []byte {
	start := len(b)
	add := func(token string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, token...)
	}
	for i, name := range quirkNames {
		switch q := Quirk(1) << i; {
		case s.Quirks&q != 0:
			add(name)
		case s.Optional&q != 0:
			add(name + "?")
		}
	}
	if s.Conditions&CondID != 0 {
		add(fmt.Sprintf("%s%d", tokenID, s.ID))
	}
	if s.Conditions&CondIDMixed != 0 {
		add(tokenIDMixed)
	}
	if s.Conditions&CondSeqDst != 0 {
		add(tokenSeqDst)
	}
	return b
}
