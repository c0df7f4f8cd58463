package spa

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// The IP protocols a service may have. fwknop 2.6.10 refuses all others, in
// the client already: icmp and none are gone.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// Service is what a message asks to have opened.
type Service struct {
	Protocol uint8 // 6 or 17, IANA's numbers of TCP and UDP
	Port     uint16
}

// String gives the form of messages: "tcp/22".
func (s Service) String() string {
	name := "unknown"
	switch s.Protocol {
	case protocolTCP:
		name = "tcp"
	case protocolUDP:
		name = "udp"
	}
	return name + "/" + strconv.Itoa(int(s.Port))
}

var errService = errors.New("bad service: want tcp/PORT or udp/PORT, with a port from 1 to 65535")

func parseService(text string) (Service, error) {
	proto, port, _ := strings.Cut(text, "/")
	var s Service
	switch proto {
	case "tcp":
		s.Protocol = protocolTCP
	case "udp":
		s.Protocol = protocolUDP
	}
	n, _ := parseDecimal(port, math.MaxUint16)
	s.Port = uint16(n)
	return s, s.check()
}

func (s Service) check() error {
	if s.Protocol != protocolTCP && s.Protocol != protocolUDP || s.Port == 0 {
		return errService
	}
	return nil
}

// parseDecimal reads a number from 0 to limit that is written without sign and
// leading zeros.
func parseDecimal(s string, limit uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > limit || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	return n, true
}
