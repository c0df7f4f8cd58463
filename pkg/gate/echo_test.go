package gate

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"nftknock/pkg/port"
)

// Where TCP and UDP have the destination port, ICMP has its checksum. An echo request is
// logged as any other also if its checksum is the number of one of our ports.
func TestEchoRequestsAreLoggedWhateverTheirChecksum(t *testing.T) {
	t.Parallel()
	base := Ruleset{Protected: services("tcp/22", "tcp/8000-8010"), KnockPorts: services("udp/7", "tcp/48000-60799"), Group: 5}
	pings, messages := base, base
	pings.ICMP = true
	messages.Messages = []port.Range{port.Echo}
	for name, r := range map[string]*Ruleset{"knocks": &pings, "messages": &messages} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newMessageLab(t, r)
			payload := "8" + strings.Repeat("A", 224)
			for i, checksum := range []uint16{1, 7, 22, 8000, 8010, 48000, 50053, 60799, 60800} {
				source := netip.AddrFrom4([4]byte{11, 3, 0, byte(i)}) // with no connection yet
				frame := l.echoWithChecksum(t, source, checksum, payload)
				if n := l.logged(frame, payload); n != 1 {
					t.Errorf("an echo request with the checksum %d was logged %d times, want 1", checksum, n)
				}
			}
		})
	}
}

// echoWithChecksum is an echo request to the server whose id gives it this checksum.
func (l *messageLab) echoWithChecksum(t *testing.T, source netip.Addr, checksum uint16, payload string) []byte {
	t.Helper()
	frame := func(id uint16) ([]byte, uint16) {
		f := l.frame(source, addr(server4), &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: id}, []byte(payload))
		const ethernet, ip, checksumAt = 14, 20, 2
		return f, binary.BigEndian.Uint16(f[ethernet+ip+checksumAt:])
	}
	// The checksum is the complement of a sum of 16-bit words modulo 65535 (RFC 1071).
	_, without := frame(0)
	f, got := frame(uint16((uint32(^checksum) + 0xffff - uint32(^without)) % 0xffff))
	if got != checksum {
		t.Fatalf("the checksum is %d, want %d", got, checksum)
	}
	return f
}
