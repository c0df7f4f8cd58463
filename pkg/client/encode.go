package client

import (
	"net/netip"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
)

// Knock makes the packets of the plan, as of now.
func (p *Plan) Knock(keys *Secrets, now time.Time) (*Knock, error) {
	k := &Knock{Kind: p.Kind, Dst: p.Dst, Delay: *p.Delay, Repeat: p.Repeat, Verify: p.Verify}
	if err := encoders[p.Kind](k, p, keys, now); err != nil {
		return nil, configError("", "cannot make the knock: %w", err)
	}
	return k, nil
}

// encoders put the packets of each kind into a knock.
var encoders = map[Kind]func(k *Knock, p *Plan, keys *Secrets, now time.Time) error{
	Shared:    encodeShared,
	Encrypted: encodeEncrypted,
	SPA:       encodeSPA,
	TOTP:      encodeTOTP,
}

func encodeShared(k *Knock, p *Plan, _ *Secrets, _ time.Time) error {
	for _, e := range p.Sequence {
		k.Packets = append(k.Packets, Packet{To: e})
	}
	return nil
}

func encodeEncrypted(k *Knock, p *Plan, keys *Secrets, now time.Time) error {
	m := seal.Message{
		Address: p.allowed(), Protocol: uint8(p.Open[0].Protocol), Port: p.Open[0].First,
		User: p.User, Time: now,
	}
	var err error
	if k.Clear, k.Sealed, err = sealers[p.Encoding](keys.Key, m); err != nil {
		return err
	}
	if p.ordered() {
		for i, b := range k.Sealed {
			k.add(i, seal.OrderedPort(p.PortBase, b), *p.Rotate)
		}
		return nil
	}
	k.Loose, k.Holds = true, sivWindow
	for i, b := range k.Sealed {
		k.add(i, seal.LanePort(p.PortBase, i, b), *p.Rotate)
	}
	return nil
}

func encodeTOTP(k *Knock, p *Plan, keys *Secrets, now time.Time) error {
	k.Loose = true
	code := keys.Code
	if code == nil {
		s, err := totp.ParseSecret(keys.Key.Bytes(), *p.Algorithm)
		if err != nil {
			return err
		}
		defer s.Wipe()
		computed := s.Code(totp.Step(now))
		code, k.Holds = &computed, totp.Period
	}
	for i, n := range totp.Ports(p.PortBase, *code) {
		k.add(i, n, *p.Rotate)
	}
	return nil
}

// add appends the packet of a position counted from 0. With rotation every
// other one is a datagram, as the fwknop of 2004 had it.
func (k *Knock) add(i int, n uint16, rotate bool) {
	e := port.Single(packet.TCP, n)
	if rotate && i%2 == 1 {
		e.Protocol = packet.UDP
	}
	k.Packets = append(k.Packets, Packet{To: e})
}

// allowed is whom to let in, as messages have it.
func (p *Plan) allowed() netip.Addr {
	if p.Allow == Source {
		return netip.Addr{}
	}
	return p.Allow
}
