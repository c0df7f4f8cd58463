package policy

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// PortsInUse reads from the files tcp, tcp6, udp and udp6 of procNet, which is
// /proc/net, on which ports the host listens: TCP sockets in state LISTEN, UDP
// sockets without a peer. Sockets bound to a loopback address do not count, since
// no other host can reach them. A missing file counts as empty: without IPv6 there are
// no tcp6 and udp6. If none is there, as where /proc is not mounted, the map is nil. No
// privilege is needed.
func PortsInUse(procNet fs.FS) (map[port.Range]bool, error) {
	if !slices.ContainsFunc(socketTables, func(t socketTable) bool {
		_, err := fs.Stat(procNet, t.name)
		return err == nil
	}) {
		return nil, nil
	}
	inUse := make(map[port.Range]bool)
	err := Sockets(procNet, func(s Socket) {
		if s.Listens && s.Local.Port() != 0 && !s.Local.Addr().IsLoopback() {
			inUse[port.Single(s.Protocol, s.Local.Port())] = true
		}
	})
	if err != nil {
		return nil, err
	}
	return inUse, nil
}

// A Socket is a socket of this host.
type Socket struct {
	Protocol      packet.Protocol
	Local, Remote netip.AddrPort
	Listens       bool   // TCP in state LISTEN, UDP without a peer
	Established   bool   // TCP in state ESTABLISHED
	Inode         string // of the socket, a number; empty if the line does not say
}

// socketTable is a file of /proc/net, and the protocol of its sockets.
type socketTable struct {
	name     string
	protocol packet.Protocol
}

var socketTables = []socketTable{
	{"tcp", packet.TCP}, {"tcp6", packet.TCP}, {"udp", packet.UDP}, {"udp6", packet.UDP},
}

// Sockets calls found for each socket in the files that PortsInUse reads. On error it may have
// called found for some.
func Sockets(procNet fs.FS, found func(Socket)) error {
	for _, table := range socketTables {
		f, err := procNet.Open(table.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = readSockets(f, table.protocol, found)
		f.Close() // nothing was written
		if err != nil {
			return fmt.Errorf("%s: %w", table.name, err)
		}
	}
	return nil
}

// Socket states (include/net/tcp_states.h). An unconnected UDP socket shows as
// closed.
const (
	stateEstablished = "01"
	stateClose       = "07"
	stateListen      = "0A"
)

// readSockets reads one table (net/ipv4/tcp_ipv4.c, get_tcp4_sock): a heading,
// then lines such as
//
//	0: 0100007F:0277 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 ...
//
// Sockets in other states than these are left out.
func readSockets(r io.Reader, protocol packet.Protocol, found func(Socket)) error {
	listen := stateListen
	if protocol == packet.UDP {
		listen = stateClose
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		// The fields are sl, local_address, rem_address, st; the tenth is the inode.
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != listen && fields[3] != stateEstablished {
			continue
		}
		s := Socket{Protocol: protocol, Listens: fields[3] == listen}
		s.Established = !s.Listens && protocol == packet.TCP
		var err error
		if s.Local, err = parseSocketAddr(fields[1]); err != nil {
			return err
		}
		if s.Remote, err = parseSocketAddr(fields[2]); err != nil {
			return err
		}
		if len(fields) > 9 {
			s.Inode = fields[9]
		}
		found(s)
	}
	return lines.Err()
}

// parseSocketAddr reads "0100007F:0277": the address as 32-bit words in the
// host's byte order, the port as a number.
func parseSocketAddr(s string) (netip.AddrPort, error) {
	bad := fmt.Errorf("bad socket address %s", quote(s))
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, bad
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, bad
	}
	a, _ := netip.AddrFromSlice(b) // of 4 or 16 bytes
	// A socket of IPv6 that serves IPv4 too shows mapped addresses.
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}
