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
	var inUse map[port.Range]bool
	for _, table := range []struct {
		name     string
		protocol packet.Protocol
	}{
		{"tcp", packet.TCP}, {"tcp6", packet.TCP}, {"udp", packet.UDP}, {"udp6", packet.UDP},
	} {
		f, err := procNet.Open(table.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if inUse == nil {
			inUse = make(map[port.Range]bool)
		}
		err = readSockets(f, table.protocol, inUse)
		f.Close() // nothing was written
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table.name, err)
		}
	}
	return inUse, nil
}

// Socket states (include/net/tcp_states.h). An unconnected UDP socket shows as
// closed.
const (
	stateClose  = "07"
	stateListen = "0A"
)

// readSockets reads one table (net/ipv4/tcp_ipv4.c, get_tcp4_sock): a heading,
// then lines such as
//
//	0: 0100007F:0277 00000000:0000 0A 00000000:00000000 ...
func readSockets(r io.Reader, protocol packet.Protocol, inUse map[port.Range]bool) error {
	state := stateListen
	if protocol == packet.UDP {
		state = stateClose
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		// The fields are sl, local_address, rem_address, st.
		local, err := parseSocketAddr(fields[1])
		if err != nil {
			return err
		}
		if local.Port() != 0 && !local.Addr().IsLoopback() {
			inUse[port.Single(protocol, local.Port())] = true
		}
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
