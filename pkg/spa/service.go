package spa

import (
	"errors"
	"strconv"

	"nftknock/pkg/port"
)

// errService says nothing of the service: errors of this package hold no part of a
// message.
var errService = errors.New("bad service: want tcp/PORT or udp/PORT, with a port from 1 to 65535")

// parseService reads a service as a message holds it. (fwknop 2.6.10 refuses all
// protocols but these two in the client already: icmp and none are gone.)
func parseService(text string) (port.Range, error) {
	s, err := port.ParseKnock(text)
	if err != nil || s == port.Echo {
		return port.Range{}, errService
	}
	return s, nil
}

// checkService reports what is not one port of TCP or UDP.
func checkService(s port.Range) error {
	if s.CheckService() != nil || s.Ports() != 1 {
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
