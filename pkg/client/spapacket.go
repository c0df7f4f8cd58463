package client

import (
	"crypto/rand"
	"strconv"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
)

// spaWindow is sivWindow for SPA. fwknopd has the same default.
const spaWindow = 120 * time.Second

func encodeSPA(k *Knock, p *Plan, keys *Secrets, now time.Time) error {
	key, err := spa.NewKey(spa.Config{Key: keys.Key.Bytes(), Cipher: *p.Cipher, HMACKey: hmacBytes(keys.HMACKey), HMAC: *p.HMAC})
	if err != nil {
		return err
	}
	defer key.Wipe()
	m := spa.Message{User: p.User, Time: now, Type: spa.Access, Address: p.allowed(), Timeout: p.Timeout, Digest: p.Digest}
	m.Type, m.NAT = requestType(k, p)
	m.Services = append(m.Services, p.Open...)
	payload, err := key.Seal(m, rand.Reader)
	if err != nil {
		return err
	}
	k.Holds = spaWindow
	k.Packets = []Packet{{To: port.Single(packet.UDP, p.Port), Payload: payload}}
	return nil
}

// requestType returns the type of the message, which says whether it has a timeout and a
// target, and the target.
func requestType(k *Knock, p *Plan) (kind spa.Type, nat string) {
	timed, to := p.Timeout > 0, p.Forward
	switch {
	case to.Port == 0:
		return choose(timed, spa.AccessTimeout, spa.Access), ""
	case to.Local():
		// As fwknop's client does, with the address at which the server was reached.
		to.Addr = k.Dst
		kind = choose(timed, spa.LocalNATTimeout, spa.LocalNAT)
	default:
		kind = choose(timed, spa.NATAccessTimeout, spa.NATAccess)
	}
	return kind, to.Addr.WithZone("").Unmap().String() + "," + strconv.Itoa(int(to.Port))
}

func choose(first bool, a, b spa.Type) spa.Type {
	if first {
		return a
	}
	return b
}

// hmacBytes returns the bytes of a key, nil for no key.
func hmacBytes(key *secret.Key) []byte {
	if key == nil {
		return nil
	}
	return key.Bytes()
}
