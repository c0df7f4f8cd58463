package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	mdnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// A stage is where a proof takes place: an interface by which packets come in, and a table
// that has nft trace them.
type stage struct {
	source  netip.Addr // of the packets
	tun     *os.File   // its end is that of the interface
	rules   *nftables.Conn
	table   *nftables.Table
	events  *mdnetlink.Conn
	packets chan []byte
	traces  chan trace

	port uint16 // the last source port
	sent flow
	// acknowledged is the number with which a SYN+ACK was sent, in network byte order.
	acknowledged []byte
}

// networks are those of RFC 5737 and RFC 3849, which no host has.
var networks = map[bool][]string{
	false: {"192.0.2.0/30", "198.51.100.0/30", "203.0.113.0/30"},
	true:  {"2001:db8:6b6e:6f63::/126", "2001:db8:6b6e:6f64::/126"},
}

// freeNetwork returns one of them that this host has nothing in.
func freeNetwork(v6 bool, h *Host) (netip.Prefix, error) {
	for _, s := range networks[v6] {
		n := netip.MustParsePrefix(s)
		used := slices.ContainsFunc(h.Routes, func(r Route) bool { return r.To.Bits() > 0 && r.To.Overlaps(n) }) ||
			slices.ContainsFunc(h.Links, func(l Link) bool {
				return slices.ContainsFunc(l.Addresses, func(a netip.Prefix) bool { return a.Masked().Overlaps(n) })
			})
		if !used {
			return n, nil
		}
	}
	return netip.Prefix{}, errors.New("this host uses all networks for documentation")
}

// newStage makes a stage for a version of IP in the network namespace of the calling thread.
func newStage(v6 bool, h *Host) (*stage, error) {
	network, err := freeNetwork(v6, h)
	if err != nil {
		return nil, err
	}
	s := &stage{packets: make(chan []byte, 64), traces: make(chan trace, 1024), port: 40000}
	own := network.Addr().Next()
	s.source = own.Next()
	for _, step := range []func() error{
		s.openTun,
		func() error { return configure(netip.PrefixFrom(own, network.Bits())) },
		s.listen,
		s.traceAll,
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	go s.readPackets(s.tun)
	go s.readTraces(s.events)
	return s, nil
}

// openTun makes the interface. As it is not persistent, the kernel removes it with its
// descriptor (tun_chr_close, drivers/net/tun.c).
func (s *stage) openTun() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(proveInterface)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written
		return fmt.Errorf("make interface %s: %w", proveInterface, err)
	}
	s.tun = os.NewFile(uintptr(fd), proveInterface)
	return nil
}

// configure gives the interface its address, and with it a route to the source.
func configure(own netip.Prefix) error {
	link, err := netlink.LinkByName(proveInterface)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(own.String())
	if err != nil {
		return err
	}
	addr.Flags = unix.IFA_F_NODAD
	// Not up before it has its address: the kernel sends nothing of its own by it then.
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s: %w", proveInterface, err)
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("address of interface %s: %w", proveInterface, err)
	}
	return nil
}

// listen subscribes to traces.
func (s *stage) listen() (err error) {
	if s.events, err = mdnetlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return err
	}
	const groupTrace = 9 // NFNLGRP_NFTRACE, linux/netfilter/nfnetlink.h
	return s.events.JoinGroup(groupTrace)
}

// traceAll has nft trace what comes in by the interface. The table belongs to this
// process, so that the kernel removes it with its socket, where the kernel can
// (NFT_TABLE_F_OWNER, Linux 5.12).
func (s *stage) traceAll() (err error) {
	if s.rules, err = nftables.New(nftables.AsLasting()); err != nil {
		return err
	}
	if err = s.addTable(nftables.TableFlagOwner); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		err = s.addTable(0)
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		err = fmt.Errorf("there is one, of another proof that runs or was killed: nft delete table inet %s", proveInterface)
	case errors.Is(err, unix.EPERM):
		err = fs.ErrPermission
	}
	if err != nil {
		return fmt.Errorf("table inet %s: %w", proveInterface, err)
	}
	return nil
}

func (s *stage) addTable(flags nftables.TableFlags) error {
	table := s.rules.CreateTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: proveInterface, Flags: flags})
	priority := nftables.ChainPriority(-450) // before defragmentation, -400
	chain := s.rules.AddChain(&nftables.Chain{Table: table, Name: "trace", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: &priority})
	device := make([]byte, unix.IFNAMSIZ)
	copy(device, proveInterface)
	s.rules.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: device},
		&expr.Immediate{Register: 1, Data: []byte{1}},
		&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1},
	}})
	if err := s.rules.Flush(); err != nil {
		return err
	}
	s.table = table
	return nil
}

// close removes everything.
func (s *stage) close() error {
	var errs []error
	if s.table != nil {
		s.rules.DelTable(s.table)
		errs = append(errs, s.rules.Flush())
	}
	if s.rules != nil {
		errs = append(errs, s.rules.CloseLasting())
	}
	if s.events != nil {
		errs = append(errs, s.events.Close())
	}
	if s.tun != nil {
		errs = append(errs, s.tun.Close())
	}
	return errors.Join(errs...)
}

func (s *stage) write(b []byte) error {
	_, err := s.tun.Write(b)
	return err
}

// readPackets passes on what this host sends by the interface, until it is gone. What
// nobody waits for is left out.
func (s *stage) readPackets(tun *os.File) {
	defer close(s.packets)
	buffer := make([]byte, 1<<16)
	for {
		n, err := tun.Read(buffer)
		if err != nil {
			return
		}
		select {
		case s.packets <- slices.Clone(buffer[:n]):
		default:
		}
	}
}

// readTraces passes traces on, until the socket is closed.
func (s *stage) readTraces(c *mdnetlink.Conn) {
	for {
		messages, err := c.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		for _, m := range messages {
			if t, err := parseTrace(m.Data); err == nil {
				select {
				case s.traces <- t:
				default:
				}
			}
		}
	}
}

// A flow is a connection of a proof.
type flow struct {
	service port.Range
	to      netip.Addr
	port    uint16 // the source's
}

// answerIn says whether a packet is an answer to the one sent.
func (s *stage) answerIn(b []byte) answer {
	var p packet.Packet
	if packet.Decode(b, &p) != nil || p.Src != s.sent.to || p.Dst != s.source {
		return none
	}
	switch {
	case p.Protocol == packet.UDP && s.sent.service.Protocol == packet.UDP && p.DstPort == s.sent.port:
		return synAck
	case p.Protocol != packet.TCP || s.sent.service.Protocol != packet.TCP || p.DstPort != s.sent.port:
		return none
	case p.TCP.Flags&0x04 != 0:
		return reset
	case p.TCP.Flags&0x12 == 0x12:
		s.acknowledged = binary.BigEndian.AppendUint32(nil, p.TCP.Ack)
		return synAck
	}
	return none
}

// sequence is the number of each SYN.
const sequence = 1

// packet makes a packet of the flow: for TCP with some flags, and with the sequence number
// of a RST that follows an acknowledgement.
func (f flow) packet(from netip.Addr, flags byte, number []byte) []byte {
	var body []byte
	if f.protocol() == unix.IPPROTO_UDP {
		body = make([]byte, 8)
		binary.BigEndian.PutUint16(body[4:], 8)
	} else {
		body = make([]byte, 20)
		binary.BigEndian.PutUint32(body[4:], sequence)
		copy(body[4:8], number)
		body[12], body[13] = 5<<4, flags
		binary.BigEndian.PutUint16(body[14:], 64240)
	}
	binary.BigEndian.PutUint16(body[0:], f.port)
	binary.BigEndian.PutUint16(body[2:], f.service.First)
	return withHead(from, f.to, f.protocol(), body)
}

// withHead puts the head of IP before a segment or datagram, and sums into both.
func withHead(from, to netip.Addr, protocol uint8, body []byte) []byte {
	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = append(pseudo, 0, protocol, byte(len(body)>>8), byte(len(body)))
	at := 16 // the checksum of TCP
	if protocol == unix.IPPROTO_UDP {
		at = 6
	}
	binary.BigEndian.PutUint16(body[at:], checksum(append(pseudo, body...)))
	if from.Is6() {
		head := []byte{0x60, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), protocol, 64}
		return slices.Concat(head, from.AsSlice(), to.AsSlice(), body)
	}
	head := []byte{0x45, 0, 0, byte(20 + len(body)), 0, 0, 0x40, 0, 64, protocol, 0, 0}
	head = slices.Concat(head, from.AsSlice(), to.AsSlice())
	binary.BigEndian.PutUint16(head[10:], checksum(head))
	return append(head, body...)
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
