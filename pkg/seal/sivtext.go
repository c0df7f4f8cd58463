package seal

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"nftknock/pkg/username"
)

// sivVersion is the first byte of the clear text of SIV.
const sivVersion = 1

// Offsets and lengths of its fields, in bytes.
const (
	sivTime    = 1
	sivFamily  = 5
	sivAddress = 6 // 4 or 16 bytes

	// Offsets from the end of the address.
	sivProtocol = 0
	sivPort     = 1
	sivUser     = 3

	sivUserLen = 8
	sivFixed   = sivAddress + sivUser + sivUserLen // length without the address
)

// Values of the family. The high half of the byte is reserved for flags.
const (
	family4 = 4
	family6 = 6
)

// Clear returns the clear text of 21 or 33 bytes.
func (s *SIV) Clear(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	seconds := m.Time.Unix()
	if seconds < 0 || seconds > math.MaxUint32 {
		return nil, fmt.Errorf("bad time %v: want 1970 to 2106", m.Time)
	}
	addr, family := m.Address.Unmap(), byte(family4)
	switch {
	case !addr.IsValid():
		addr = netip.IPv4Unspecified()
	case addr.Zone() != "":
		return nil, fmt.Errorf("bad address %v: want no zone", addr)
	case addr.Is6():
		family = family6
	}
	b := []byte{sivVersion}
	b = binary.BigEndian.AppendUint32(b, uint32(seconds))
	b = append(b, family)
	b = append(b, addr.AsSlice()...)
	b = append(b, m.Protocol)
	b = binary.BigEndian.AppendUint16(b, m.Port)
	var user [sivUserLen]byte
	copy(user[:], username.Cut(m.User, sivUserLen))
	return append(b, user[:]...), nil
}

// parseSIV reads an authenticated clear text. It accepts only what Clear can return.
func parseSIV(text []byte) (Message, bool) {
	// SIV.Open has checked the length, which is one of two.
	start := [sivAddress]byte(text)
	if !validStart(start, len(text)) {
		return Message{}, false
	}
	end := len(text) - (sivFixed - sivAddress)
	addr, ok := netip.AddrFromSlice(text[sivAddress:end])
	rest := text[end:]
	m := Message{
		User:     string(paddedUser(rest[sivUser:])),
		Address:  specified(addr),
		Protocol: rest[sivProtocol],
		Port:     binary.BigEndian.Uint16(rest[sivPort:]),
		Time:     startTime(start),
	}
	if !ok || addr.Is4In6() || !username.Prints(m.User) || !validProtocol(m.Protocol) || !validPort(m.Protocol, m.Port) {
		return Message{}, false
	}
	return m, true
}

// validStart reports whether version and family are those of a clear text of this length.
func validStart(start [sivAddress]byte, length int) bool {
	family := byte(family4)
	if length == sivFixed+16 {
		family = family6
	}
	return start[0] == sivVersion && start[sivFamily] == family
}

func startTime(start [sivAddress]byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(start[sivTime:])), 0).UTC()
}
