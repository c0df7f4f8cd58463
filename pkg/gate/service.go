package gate

import (
	"fmt"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
)

// Service is what a grant opens: one port, or a range of ports, of TCP or
// UDP.
type Service struct {
	Protocol    packet.Protocol
	First, Last uint16 // inclusive; equal for a single port
}

// ParseService reads the written form of a service: "tcp/22", "udp/51820" or
// "tcp/8000-8010".
func ParseService(s string) (Service, error) {
	proto, ports, _ := strings.Cut(s, "/")
	var v Service
	switch proto {
	case "tcp":
		v.Protocol = packet.TCP
	case "udp":
		v.Protocol = packet.UDP
	default:
		return Service{}, fmt.Errorf("bad service %q: want tcp/PORT, udp/PORT or a range such as tcp/8000-8010", s)
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	var ok1, ok2 bool
	v.First, ok1 = parsePort(first)
	v.Last, ok2 = parsePort(last)
	if !ok1 || !ok2 {
		return Service{}, fmt.Errorf("bad port in service %q: want 1 to 65535", s)
	}
	if v.First > v.Last || isRange && v.First == v.Last {
		return Service{}, fmt.Errorf("bad range in service %q: the first port must be below the last", s)
	}
	return v, nil
}

func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n != 0 && s[0] != '0'
}

// String gives the form that ParseService reads.
func (s Service) String() string {
	ports := strconv.Itoa(int(s.First))
	if s.Last != s.First {
		ports += "-" + strconv.Itoa(int(s.Last))
	}
	return s.Protocol.String() + "/" + ports
}

// Ports is the number of ports the service covers.
func (s Service) Ports() int { return int(s.Last) - int(s.First) + 1 }

// Covers reports whether all ports of t are ports of s.
func (s Service) Covers(t Service) bool {
	return s.Protocol == t.Protocol && s.First <= t.First && t.Last <= s.Last
}

// validate reports a service that ParseService would not give.
func (s Service) validate() error {
	switch {
	case s.Protocol != packet.TCP && s.Protocol != packet.UDP:
		return fmt.Errorf("bad service %q: want tcp or udp", s)
	case s.First == 0 || s.First > s.Last:
		return fmt.Errorf("bad service %q: want ports 1 to 65535 in order", s)
	}
	return nil
}

// common is what two services have in common, if anything.
func (s Service) common(t Service) (both Service, ok bool) {
	both = Service{s.Protocol, max(s.First, t.First), min(s.Last, t.Last)}
	return both, s.Protocol == t.Protocol && both.First <= both.Last
}

// single is the service of one of the ports of s, the nth from 0.
func (s Service) single(n int) Service {
	port := s.First + uint16(n)
	return Service{Protocol: s.Protocol, First: port, Last: port}
}

// coversAll reports whether every port of a service is among some others.
func coversAll(services []Service, s Service) bool {
	next := int(s.First)
	for _, t := range normal(services) {
		if t.Protocol == s.Protocol && int(t.First) <= next && next <= int(t.Last) {
			next = int(t.Last) + 1
		}
	}
	return next > int(s.Last)
}
