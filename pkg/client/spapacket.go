package client

import (
	"crypto/rand"
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
	if p.Timeout > 0 { // fwknop has a type of message for it
		m.Type = spa.AccessTimeout
	}
	m.Services = append(m.Services, p.Open...)
	payload, err := key.Seal(m, rand.Reader)
	if err != nil {
		return err
	}
	k.Holds = spaWindow
	k.Packets = []Packet{{To: port.Single(packet.UDP, p.Port), Payload: payload}}
	return nil
}

// hmacBytes returns the bytes of a key, nil for no key.
func hmacBytes(key *secret.Key) []byte {
	if key == nil {
		return nil
	}
	return key.Bytes()
}
