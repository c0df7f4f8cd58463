package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	nl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/nflog"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/blast"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// The log groups of the observer, whose chains come after ours, and of knocks.
const (
	observerGroup = 900
	maxGroup      = 30
)

// world is the server of the stories and what is around it. It serves one story
// after the other, and belongs to one goroutine.
type world struct {
	t              testing.TB
	server, client *netns.NS
	cables         map[string]*cable
	answers        *blast.Sender // what the server sends on eth0
	log            *nflog.Reader
	watchdog       *time.Timer
	nft            *nftables.Conn
	conntrack      *nl.Conn
	mark           uint16
	packets        int

	listeners map[listener]int // descriptors
	sockets   map[flow]*socket
}

type cable struct {
	sender   *blast.Sender
	from, to net.HardwareAddr
}

type listener struct {
	to   netip.Addr // unspecified for all addresses
	port uint16
}

// socket is the server's end of a connection, and the position of the client's.
type socket struct {
	fd       int
	seq, ack uint32
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, server: netnstest.New(t), client: netnstest.New(t), cables: make(map[string]*cable),
		listeners: make(map[listener]int), sockets: make(map[flow]*socket),
	}
	netnstest.Connect(t, w.server, w.client, "eth0", []string{server4 + "/24", server6 + "/64"}, []string{client4 + "/24", client6 + "/64"})
	netnstest.Connect(t, w.server, w.client, "eth1", []string{"10.4.2.1/24", "fd04::1/64"}, []string{"10.4.2.2/24", "fd04::2/64"})
	netnstest.Connect(t, w.server, w.client, "eth2", []string{"10.9.9.1/24", "fd09::1/64"}, nil)
	for name, value := range map[string]string{
		"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "0", "net/ipv4/conf/eth1/rp_filter": "0",
		"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1",
		// Entries are to end by packets alone.
		"net/netfilter/nf_conntrack_udp_timeout": "600", "net/netfilter/nf_conntrack_udp_timeout_stream": "600",
	} {
		if err := w.server.Sysctl(name, value); err != nil {
			t.Fatal(err)
		}
	}
	netnstest.Do(t, w.client, w.openCables)
	netnstest.Do(t, w.server, w.route)
	netnstest.Do(t, w.server, w.observe)
	w.nft = stranger(t, w.server)
	w.watchdog = time.AfterFunc(time.Hour, func() { w.log.Close() })
	t.Cleanup(func() { w.watchdog.Stop(); w.log.Close() })
	return w
}

func (w *world) openCables() error {
	for _, name := range []string{"eth0", "eth1"} {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		s, err := blast.Open(name, false)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() { s.Close() })
		w.cables[name] = &cable{sender: s, from: link.HardwareAddr}
	}
	var err error
	if w.answers, err = blast.Open("eth0", true); err == nil {
		w.t.Cleanup(func() { w.answers.Close() })
	}
	return err
}

// route knows the way to the sources, to the host behind, which nobody is, and
// to addresses of this host that only another table than local has.
func (w *world) route() error {
	neighbour := func(device, to string, mac net.HardwareAddr) error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: addr(to).AsSlice(), HardwareAddr: mac,
		})
	}
	nobody := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	var errs []error
	for range 100 { // until the cables carry traffic
		if link, err := net.InterfaceByName("eth2"); err == nil && link.Flags&net.FlagRunning != 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, name := range []string{"eth0", "eth1"} {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		w.cables[name].to = link.HardwareAddr
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for v, gateway := range []string{client4, client6} {
		errs = append(errs, neighbour("eth0", gateway, w.cables["eth0"].from), neighbour("eth2", inside[v][3].String(), nobody),
			netlink.RouteAdd(&netlink.Route{Gw: addr(gateway).AsSlice()}))
		to := inside[v][2]
		dst := &net.IPNet{IP: to.AsSlice(), Mask: net.CIDRMask(to.BitLen(), to.BitLen())}
		const table = 100
		errs = append(errs, netlink.RouteAdd(&netlink.Route{
			Table: table, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST, LinkIndex: lo.Attrs().Index, Dst: dst,
		}))
		rule := netlink.NewRule()
		rule.Family, rule.Table, rule.Dst, rule.Priority = []int{unix.AF_INET, unix.AF_INET6}[v], table, dst, 100
		errs = append(errs, netlink.RuleAdd(rule))
	}
	return errors.Join(errs...)
}

// observe logs what has passed all of our chains, and has the server translate
// some ports and not track another.
func (w *world) observe() (err error) {
	var groups []uint16
	for g := range uint16(maxGroup) {
		groups = append(groups, g)
	}
	w.log, err = nflog.Open(nflog.Config{Groups: append(groups, observerGroup), CopyRange: 128, BusyThreshold: 1})
	if err != nil {
		return err
	}
	if w.conntrack, err = nl.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	seen := always(logTo(observerGroup)).exprs()
	theirs{"observer_in", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityRef(300)}.add(c, seen)
	theirs{"observer_forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityRef(300)}.add(c, seen)
	var raw, nat [][]expr.Any
	for _, p := range protocols {
		raw = append(raw, append(destinationPort.in(port.Single(p, untrackedPort)).exprs, &expr.Notrack{}))
		for v, f := range families() {
			for _, to := range inside[v][:3] {
				at := func(dialled uint16) []expr.Any {
					return append(append(f.guard(), f.loadDestination(reg1), equal(to.AsSlice()...)), destinationPort.in(port.Single(p, dialled)).exprs...)
				}
				redirect := func(dialled, to uint16) []expr.Any {
					return append(at(dialled), &expr.Immediate{Register: reg1, Data: binaryutil.BigEndian.PutUint16(to)}, &expr.Redir{RegisterProtoMin: reg1})
				}
				nat = append(nat, redirect(redirectedPort, 22), redirect(redirectedTwo, 25), append(at(forwardedPort),
					&expr.Immediate{Register: reg1, Data: inside[v][3].AsSlice()},
					&expr.Immediate{Register: reg2, Data: binaryutil.BigEndian.PutUint16(25)},
					&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: reg1, RegProtoMin: reg2}))
			}
		}
	}
	theirs{"raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw}.add(c, raw...)
	theirs{"nat", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest}.add(c, nat...)
	return c.Flush()
}

// begin gives the server fresh listeners.
func (w *world) begin() {
	netnstest.Do(w.t, w.server, func() error {
		for _, port := range listened {
			if err := w.listen(netip.IPv6Unspecified(), port); err != nil {
				return err
			}
		}
		return errors.Join(w.listen(inside[0][0], boundPort), w.listen(inside[1][0], boundPort))
	})
}

// end closes everything of a story.
func (w *world) end() {
	for f := range w.sockets {
		w.reset(f)
	}
	for l, fd := range w.listeners {
		unix.Close(fd)
		delete(w.listeners, l)
	}
	w.deleteTable()
	w.flushConntrack()
}

func (w *world) listen(to netip.Addr, port uint16) error {
	fd, err := bound(unix.SOCK_STREAM, netip.AddrPortFrom(to, port))
	if err == nil {
		err = unix.Listen(fd, 1024)
	}
	w.listeners[listener{to: to, port: port}] = fd
	return err
}

// bound opens a socket that shares its port with others.
func bound(kind int, to netip.AddrPort) (fd int, err error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	if fd, err = unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		// The address may be in another table than local.
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1))
	if err == nil {
		err = unix.Bind(fd, sockaddr(to))
	}
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr).Unmap(), uint16(s.Port))
	}
	return netip.AddrPort{}
}

// connected reports whether the server has a socket that is the flow.
func (w *world) connected(f flow) bool {
	s := w.sockets[f]
	if s == nil {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.SOL_TCP, unix.TCP_INFO)
	const timeWait, closed = 6, 7 // TCP_TIME_WAIT and TCP_CLOSE of net/tcp_states.h
	return err == nil && info.State != timeWait && info.State != closed
}

func (w *world) allConnected() []flow {
	var list []flow
	for f := range w.sockets {
		if w.connected(f) {
			list = append(list, f)
		}
	}
	return list
}

// reset closes a connection at the server's end by a RST.
func (w *world) reset(f flow) {
	if s := w.sockets[f]; s != nil {
		_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(s.fd)
		delete(w.sockets, f)
	}
}

// dial has the server open a connection, to nobody who answers.
func (w *world) dial(f flow) (ok bool) {
	if w.sockets[f] != nil {
		return false
	}
	netnstest.Do(w.t, w.server, func() error {
		fd, err := bound(unix.SOCK_STREAM, f.to)
		if err != nil {
			return fmt.Errorf("bind %v: %w", f.to, err)
		}
		if err := unix.Connect(fd, sockaddr(f.from)); !errors.Is(err, unix.EINPROGRESS) {
			unix.Close(fd)
			return nil
		}
		w.sockets[f], ok = &socket{fd: fd}, true
		return nil
	})
	return ok
}

// datagram has the server send one.
func (w *world) datagram(f flow) {
	netnstest.Do(w.t, w.server, func() error {
		fd, err := bound(unix.SOCK_DGRAM, f.to)
		if err != nil {
			return fmt.Errorf("bind %v: %w", f.to, err)
		}
		defer unix.Close(fd)
		if err := unix.Sendto(fd, []byte("x"), 0, sockaddr(f.from)); err != nil {
			return fmt.Errorf("send from %v to %v: %w", f.to, f.from, err)
		}
		return nil
	})
}

func (w *world) deleteTable() {
	w.nft.DelTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet})
	if err := w.nft.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		w.t.Fatal(err)
	}
}

func (w *world) flushConntrack() {
	const deleteAll = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
	_, err := w.conntrack.Execute(nl.Message{
		Header: nl.Header{Type: deleteAll, Flags: nl.Request | nl.Acknowledge}, Data: []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Numbers of the client's side. Those of packets out of order are never within
// a window.
const (
	firstSeq = 0x90000000
	oddSeq   = 0x10000000
)

// frame is a packet with a mark in the header of IP, where nothing changes it.
func (w *world) frame(p probe, seq, ack uint32, mark uint16) []byte {
	var transport gopacket.SerializableLayer
	payload := []byte("data")
	switch p.protocol {
	case packet.UDP:
		transport = &layers.UDP{SrcPort: layers.UDPPort(p.from.Port()), DstPort: layers.UDPPort(p.to.Port())}
	case packet.TCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(p.from.Port()), DstPort: layers.TCPPort(p.to.Port()), Seq: seq, Ack: ack, Window: 64240}
		f := p.flags
		tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH = f&packet.FIN != 0, f&packet.SYN != 0, f&packet.RST != 0, f>>3&1 != 0
		tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR = f&packet.ACK != 0, f>>5&1 != 0, f>>6&1 != 0, f>>7&1 != 0
		transport = tcp
		if f&^packet.ACK>>3&1 == 0 { // only what pushes has data
			payload = nil
		}
	case packet.ICMP:
		transport = &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: p.from.Port(), Seq: mark}
	default:
		transport = &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
		payload = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.from.Port()), mark)
	}
	c := w.cables[p.device]
	frame, err := blast.Frame(c.from, c.to, p.from.Addr(), p.to.Addr(), transport, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	setMark(frame[14:], mark)
	return frame
}

// setMark writes the identification of IPv4, or part of the flow label of IPv6.
func setMark(p []byte, mark uint16) {
	if p[0]>>4 == 6 {
		binary.BigEndian.PutUint16(p[2:], mark)
		return
	}
	binary.BigEndian.PutUint16(p[4:], mark)
	binary.BigEndian.PutUint16(p[10:], 0)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
}

func getMark(p []byte) uint16 {
	switch {
	case len(p) < 20:
		return 0
	case p[0]>>4 == 6:
		return binary.BigEndian.Uint16(p[2:])
	}
	return binary.BigEndian.Uint16(p[4:])
}

func (w *world) nextMark() uint16 {
	if w.mark++; w.mark == 0 {
		w.mark = 1
	}
	return w.mark
}

// outcome is what became of a packet.
type outcome struct {
	passed int      // how often it came through
	logged []uint16 // to these groups
}

// send sends a packet and tells what became of it. Behind it goes one that passes
// any table: what that one's log does not come after does not come.
func (w *world) send(p probe, seq, ack uint32) outcome {
	w.packets++
	mark, end := w.nextMark(), w.nextMark()
	last := probe{device: "eth0", flow: flow{packet.UDP,
		netip.AddrPortFrom(addr("11.9.9.9"), 9), netip.AddrPortFrom(addr(server4), nobodysPort)}}
	frames := [][]byte{w.frame(p, seq, ack, mark), w.frame(last, 0, 0, end)}
	if p.device == "eth0" {
		w.transmit("eth0", frames...)
	} else {
		w.transmit(p.device, frames[0])
		w.transmit("eth0", frames[1])
	}
	w.watchdog.Reset(20 * time.Second)
	defer w.watchdog.Stop()
	var o outcome
	for {
		var rec nflog.Record
		if err := w.log.Read(&rec); errors.Is(err, os.ErrClosed) {
			w.t.Fatalf("the marker packet did not come through in 20 s: %+v", w.log.Stats())
		} else if err != nil {
			w.t.Fatal(err)
		}
		switch m := getMark(rec.Payload); {
		case m == end && rec.Group == observerGroup:
			return o
		case m == mark && rec.Group == observerGroup:
			o.passed++
		case m == mark:
			o.logged = append(o.logged, rec.Group)
		}
	}
}

func (w *world) transmit(device string, frames ...[]byte) {
	if _, err := w.cables[device].sender.Send(frames); err != nil {
		w.t.Fatal(err)
	}
}

// listens reports whether a handshake with a flow's port can be completed.
func (w *world) listens(f flow) (fd int, ok bool) {
	port := f.to.Port()
	switch port {
	case redirectedPort:
		port = 22
	case redirectedTwo:
		port = 25
	}
	if behind[f.to.Addr()] {
		return 0, false
	}
	if fd, ok = w.listeners[listener{to: f.to.Addr(), port: port}]; !ok {
		fd, ok = w.listeners[listener{to: netip.IPv6Unspecified(), port: port}]
	}
	return fd, ok
}

// answerTime is how long the server may take to answer what it has got already.
const answerTime = 50 * time.Millisecond

// synack waits for the server's answer to a SYN.
func (w *world) synack(f flow) (seq uint32, ok bool) {
	frame, err := w.answers.Receive(answerTime, func(b []byte) bool {
		tcp := tcpOf(b, f)
		return tcp != nil && tcp[13]&0x3f == 0x12 && binary.BigEndian.Uint32(tcp[8:]) == firstSeq+1
	})
	if err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint32(tcpOf(frame, f)[4:]), true
}

// tcpOf returns the TCP header of a frame that answers a flow, or nil.
func tcpOf(frame []byte, f flow) []byte {
	at := 14 + 20
	if f.to.Addr().Is6() {
		at = 14 + 40
	}
	if len(frame) < at+20 {
		return nil
	}
	ip, n := frame[14:], len(f.to.Addr().AsSlice())
	if (ip[0]>>4 == 4) != f.to.Addr().Is4() || ip[map[int]int{4: 9, 16: 6}[n]] != byte(packet.TCP) {
		return nil
	}
	source, _ := netip.AddrFromSlice(frame[at-2*n : at-n])
	dest, _ := netip.AddrFromSlice(frame[at-n : at])
	from := netip.AddrPortFrom(source, binary.BigEndian.Uint16(frame[at:]))
	to := netip.AddrPortFrom(dest, binary.BigEndian.Uint16(frame[at+2:]))
	if from != f.to || to != f.from {
		return nil
	}
	return frame[at:]
}

// accept takes the server's end of a connection that was made just now.
func (w *world) accept(listener int, f flow) (fd int, ok bool) {
	for deadline := time.Now().Add(answerTime); time.Now().Before(deadline); {
		fd, from, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			time.Sleep(100 * time.Microsecond)
		case err != nil:
			w.t.Fatal(err)
		case addrPort(from) == f.from:
			return fd, true
		default:
			unix.Close(fd)
		}
	}
	return 0, false
}
