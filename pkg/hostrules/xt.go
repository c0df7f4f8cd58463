package hostrules

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Matches and targets of iptables-nft keep the structures of x_tables
// (include/uapi/linux/netfilter/xt_*.h), which are in the byte order of the machine but
// for ports and addresses of NAT. A structure that is too short, or of a match that is not
// here, has an unknown result.

// Attributes of match and target (nft_match_attributes, nft_target_attributes).
const (
	xtName, xtRevision, xtInfo = 1, 2, 3
)

func host16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func host32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func (e *evaluation) xtMatch(a attrs) {
	info, found := a[xtInfo], maybe
	switch a.text(xtName) {
	case "comment":
		found = yes
	case "tcp":
		found = e.xtTCP(info)
	case "udp":
		found = e.xtUDP(info)
	case "multiport":
		found = e.xtMultiport(info)
	case "conntrack":
		found = e.xtConntrack(info)
	case "state":
		found = e.xtState(info)
	case "addrtype":
		found = e.xtAddrType(info)
	case "rpfilter":
		// As with fib: the source's answers leave by the interface it came from.
		found = yes
		if len(info) > 0 && info[0]&4 != 0 { // XT_RPFILTER_INVERT
			found = no
		}
	case "mark":
		found = e.xtMark(info)
	}
	e.require(found)
}

// ports says whether the destination port is from first to last.
func (e *evaluation) portIn(first, last uint16, invert bool) tri {
	t := e.packet.portBytes().within(binary.BigEndian.AppendUint16(nil, first), binary.BigEndian.AppendUint16(nil, last))
	if invert {
		return t.not()
	}
	return t
}

// sourceIn says whether the source port, which is unknown, is from first to last.
func sourceIn(first, last uint16, invert bool) tri {
	switch {
	case first == 0 && last == 0xffff && invert:
		return no
	case first == 0 && last == 0xffff:
		return yes
	}
	return maybe
}

// xtTCP is struct xt_tcp.
func (e *evaluation) xtTCP(b []byte) tri {
	if e.packet.Protocol != unix.IPPROTO_TCP {
		return no
	}
	if len(b) < 12 {
		return maybe
	}
	mask, want, invert := b[9], b[10], b[11]
	flags := boolTri(0x02&mask == want)
	if invert&4 != 0 {
		flags = flags.not()
	}
	option := yes
	if b[8] != 0 {
		option = maybe
	}
	return min(sourceIn(host16(b), host16(b[2:]), invert&1 != 0), e.portIn(host16(b[4:]), host16(b[6:]), invert&2 != 0), flags, option)
}

func boolTri(b bool) tri {
	if b {
		return yes
	}
	return no
}

// xtUDP is struct xt_udp.
func (e *evaluation) xtUDP(b []byte) tri {
	if e.packet.Protocol != unix.IPPROTO_UDP {
		return no
	}
	if len(b) < 9 {
		return maybe
	}
	return min(sourceIn(host16(b), host16(b[2:]), b[8]&1 != 0), e.portIn(host16(b[4:]), host16(b[6:]), b[8]&2 != 0))
}

// xtMultiport is struct xt_multiport_v1.
func (e *evaluation) xtMultiport(b []byte) tri {
	const maxPorts = 15
	if len(b) < 2+2*maxPorts+maxPorts+1 || b[1] > maxPorts || b[0] != 1 { // XT_MULTIPORT_DESTINATION
		return maybe
	}
	flags, found := b[2+2*maxPorts:], no
	for i := 0; i < int(b[1]); i++ {
		first := host16(b[2+2*i:])
		last := first
		if flags[i] != 0 && i+1 < int(b[1]) { // a range: the next port is its end
			i++
			last = host16(b[2+2*i:])
		}
		found = maxTri(found, e.portIn(first, last, false))
	}
	if flags[maxPorts] != 0 {
		return found.not()
	}
	return found
}

// states says whether the state of the connection is one of some.
func (e *evaluation) stateIn(mask uint32) tri {
	v, _ := e.packet.ct(ctState)
	all := knownHost(mask)
	hits := v.masked(all.b, make([]byte, 4))
	return hits.equals(make([]byte, 4)).not()
}

// xtConntrack is struct xt_conntrack_mtinfo2 and 3, which begin alike. Its bits of state
// are those of nftables (XT_CONNTRACK_STATE_BIT) but for two.
func (e *evaluation) xtConntrack(b []byte) tri {
	const flagsAt, stateAt = 128 + 8 + 2 + 8, 128 + 8 + 2 + 8 + 4
	const matchState, matchAlias = 1, 1 << 13
	const snat, dnat, untracked = 1 << 6, 1 << 7, 1 << 8
	if len(b) < stateAt+4 {
		return maybe
	}
	flags, invert, mask := host16(b[flagsAt:]), host16(b[flagsAt+2:]), uint32(host16(b[stateAt:]))
	if flags&^(matchState|matchAlias) != 0 || flags&matchState == 0 || mask&snat != 0 {
		return maybe
	}
	want := mask & 0x1f
	if mask&untracked != 0 {
		want |= stateUntracked
	}
	found := e.stateIn(want)
	if mask&dnat != 0 && e.packet.dnat {
		found = yes
	}
	if invert&matchState != 0 {
		return found.not()
	}
	return found
}

// xtState is struct xt_state_info; its bit for untracked is IP_CT_NUMBER + 1.
func (e *evaluation) xtState(b []byte) tri {
	if len(b) < 4 {
		return maybe
	}
	mask := host32(b)
	want := mask & 0x1f
	if mask&(1<<6) != 0 {
		want |= stateUntracked
	}
	return e.stateIn(want)
}

// xtAddrType is struct xt_addrtype_info_v1.
func (e *evaluation) xtAddrType(b []byte) tri {
	const invertDestination, limits = 2, 4 | 8
	if len(b) < 8 || host16(b) != 0 || host32(b[4:])&limits != 0 {
		return maybe
	}
	kind := uint(routeLocal)
	if e.packet.Forwarded {
		kind = routeUnicast
	}
	found := boolTri(host16(b[2:])>>kind&1 != 0)
	if host32(b[4:])&invertDestination != 0 {
		return found.not()
	}
	return found
}

// xtMark is struct xt_mark_mtinfo1.
func (e *evaluation) xtMark(b []byte) tri {
	if len(b) < 9 {
		return maybe
	}
	found := e.packet.mark.masked(b[4:8], make([]byte, 4)).equals(b[:4])
	if b[8] != 0 {
		return found.not()
	}
	return found
}

func (e *evaluation) xtTarget(a attrs) {
	info := a[xtInfo]
	switch a.text(xtName) {
	case "REJECT":
		e.give(verdict{code: codeDrop}, Rejected)
	case "NFQUEUE":
		e.give(verdict{code: codeDrop}, Queued)
	case "NOTRACK":
		e.untrack()
	case "CT":
		if len(info) >= 2 && host16(info)&1 != 0 { // XT_CT_NOTRACK
			e.untrack()
		}
	case "DNAT":
		e.xtNAT(a, false)
	case "REDIRECT":
		e.xtNAT(a, true)
	case "SNAT", "MASQUERADE", "NETMAP", "SYNPROXY":
		e.give(verdict{code: codeAccept}, 0)
	case "LOG", "NFLOG", "TCPMSS", "TTL", "HL", "TOS", "DSCP", "CHECKSUM", "CLASSIFY", "TRACE", "AUDIT", "SET", "TEE", "SECMARK", "CONNSECMARK", "HMARK", "ECN", "TCPOPTSTRIP", "RATEEST", "IDLETIMER", "LED":
	case "MARK":
		e.packet.mark = e.change(e.packet.mark, xtSetMark(e.packet.mark, info))
	case "CONNMARK":
		e.packet.mark, e.packet.ctMark = unknown(4), unknown(4)
	default:
		// It may stop the packet, or let it pass.
		e.require(maybe)
		e.give(verdict{code: codeDrop}, Dropped)
	}
}

// xtSetMark is struct xt_mark_tginfo2: mark & ^mask ^ value.
func xtSetMark(mark value, b []byte) value {
	if len(b) < 8 {
		return unknown(4)
	}
	keep := bytes.Clone(b[4:8])
	for i := range keep {
		keep[i] = ^keep[i]
	}
	return mark.masked(keep, b[:4])
}

// xtNAT is struct nf_nat_ipv4_multi_range_compat in revision 0, else nf_nat_range or
// nf_nat_range2, which begin alike.
func (e *evaluation) xtNAT(a attrs, here bool) {
	const mapAddress, mapPort = 1, 2
	b := a[xtInfo]
	flags, addr, port := uint32(mapAddress), []byte(nil), []byte(nil)
	switch {
	case a.u32(xtRevision) == 0 && !e.packet.V6 && len(b) >= 20:
		flags, addr, port = host32(b[4:]), b[8:12], b[16:18]
	case (a.u32(xtRevision) != 0 || e.packet.V6) && len(b) >= 40:
		flags, addr, port = host32(b), b[4:8], b[36:38]
		if e.packet.V6 {
			addr = b[4:20]
		}
	}
	t := translation{here: here || flags&mapAddress == 0}
	var number uint16
	if flags&mapPort != 0 && port != nil {
		number = binary.BigEndian.Uint16(port)
	}
	var to netip.Addr
	if !t.here {
		to, _ = netip.AddrFromSlice(addr)
	}
	t.to = netip.AddrPortFrom(to, number)
	e.translate(t)
	e.give(verdict{code: codeAccept}, 0)
}
