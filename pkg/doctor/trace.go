package doctor

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"

	"github.com/mdlayher/netlink"

	"nftknock/pkg/hostrules"
)

// Kinds of messages of nft's trace (enum nft_trace_types, linux/netfilter/nf_tables.h).
const (
	tracePolicy = 1
	traceReturn = 2
	traceRule   = 3
)

// A traceStep is a place on the way of a traced packet.
type traceStep struct {
	kind    uint32
	family  hostrules.Family
	table   string
	name    string // of the chain
	handle  uint64 // of the rule
	verdict uint32 // of a rule, or the policy
}

// A trace is a message about a traced packet.
type trace struct {
	traceStep
	id uint32
	// from and port are the packet's source, where the message holds its heads: the first
	// one of each chain.
	from netip.Addr
	port uint16
}

// stops reports whether the packet goes no further.
func (t trace) stops() bool {
	const drop = 0 // NF_DROP, linux/netfilter.h
	return t.verdict == drop && (t.kind == traceRule || t.kind == tracePolicy)
}

var errTraceShort = errors.New("trace message is too short")

// parseTrace parses the body of a message of NFT_MSG_TRACE (enum nft_trace_attributes).
func parseTrace(b []byte) (trace, error) {
	const header = 4 // struct nfgenmsg
	if len(b) < header {
		return trace{}, errTraceShort
	}
	d, err := netlink.NewAttributeDecoder(b[header:])
	if err != nil {
		return trace{}, err
	}
	d.ByteOrder = binary.BigEndian
	t := trace{traceStep: traceStep{family: hostrules.Family(b[0]), verdict: ^uint32(0)}}
	for d.Next() {
		switch d.Type() {
		case 1: // NFTA_TRACE_TABLE
			t.table = cString(d.Bytes())
		case 2: // NFTA_TRACE_CHAIN
			t.name = cString(d.Bytes())
		case 3: // NFTA_TRACE_RULE_HANDLE
			t.handle = d.Uint64()
		case 4: // NFTA_TRACE_TYPE
			t.kind = d.Uint32()
		case 5: // NFTA_TRACE_VERDICT
			d.Nested(func(v *netlink.AttributeDecoder) error {
				for v.Next() {
					if v.Type() == 1 { // NFTA_VERDICT_CODE
						t.verdict = v.Uint32()
					}
				}
				return nil
			})
		case 6: // NFTA_TRACE_ID
			t.id = d.Uint32()
		case 8: // NFTA_TRACE_NETWORK_HEADER
			t.from = sourceOf(d.Bytes())
		case 9: // NFTA_TRACE_TRANSPORT_HEADER
			if head := d.Bytes(); len(head) >= 2 {
				t.port = binary.BigEndian.Uint16(head)
			}
		case 16: // NFTA_TRACE_POLICY
			t.verdict = d.Uint32()
		}
	}
	if err := d.Err(); err != nil {
		return trace{}, err
	}
	return t, nil
}

func cString(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// sourceOf returns the source of a packet of which the head is given.
func sourceOf(b []byte) netip.Addr {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[12:16]))
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[8:24]))
	}
	return netip.Addr{}
}
