package client

import (
	"cmp"
	"net/netip"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
	"nftknock/pkg/totp"
)

// Settings say where and how to knock, as a file or the command line does. A
// field with its zero value is not set: its value then comes from the next source,
// see over.
type Settings struct {
	Kind Kind
	// Address is the destination of the knock, an address or a name.
	Address string
	// Verify is the TCP port that should be open after the knock.
	Verify port.Range
	// Delay is the pause between two packets.
	Delay *time.Duration
	// Repeat is how many times all packets are sent, 1 to MaxRepeat.
	Repeat int

	Sequence []port.Range // of a shared knock

	// Encoding is the encoding of an encrypted knock.
	Encoding Encoding
	// PortBase is the first port of an encrypted knock and of a one-time code.
	// Rotate makes every other of their packets UDP instead of TCP.
	PortBase uint16
	Rotate   *bool

	// Allow is the address that the knock asks to let in. Source, the default,
	// stands for the sender of the packets.
	Allow netip.Addr
	// Open are the services that the knock requests: exactly one if it is encrypted,
	// and no ICMP if it is SPA.
	Open []port.Range
	// Forward is where SPA asks the one service of Open to lead, behind the server or to
	// another port of it; zero for the service itself.
	Forward port.Target
	// User is the user name in the request.
	User string

	// Port is the UDP port of the SPA server.
	Port uint16
	// Timeout is for how long SPA asks to open, in whole seconds; if it is not
	// set, the server decides.
	Timeout time.Duration
	HMAC    *spa.Hash // points to zero for SPA without HMAC
	Digest  spa.Hash
	Cipher  *spa.Cipher

	Algorithm *totp.Algorithm // of one-time codes

	// Key and HMACKey are keys in the file of settings itself, KeyFile and HMACKeyFile
	// are the paths of files with keys.
	Key, HMACKey         *secret.Key
	KeyFile, HMACKeyFile string
}

// Source stands for the address that the packets come from.
var Source = netip.IPv4Unspecified()

// MaxRepeat bounds Settings.Repeat.
const MaxRepeat = 10

// over returns the settings, with those that are not set taken from a base. If the
// two are for different kinds of knock, only what any knock needs is taken.
func (s Settings) over(base Settings) Settings {
	if s.Kind != "" && base.Kind != "" && s.Kind != base.Kind {
		base = Settings{Address: base.Address, Verify: base.Verify}
	}
	if s.HMACKey != nil || s.HMACKeyFile != "" {
		if !base.wantsHMAC() {
			base.HMAC = nil // an HMAC key asks for an HMAC
		}
	}
	s.Kind = cmp.Or(s.Kind, base.Kind)
	s.Address = cmp.Or(s.Address, base.Address)
	s.Verify = cmp.Or(s.Verify, base.Verify)
	s.Delay = cmp.Or(s.Delay, base.Delay)
	s.Repeat = cmp.Or(s.Repeat, base.Repeat)
	s.Encoding = cmp.Or(s.Encoding, base.Encoding)
	s.PortBase = cmp.Or(s.PortBase, base.PortBase)
	s.Rotate = cmp.Or(s.Rotate, base.Rotate)
	s.Allow = cmp.Or(s.Allow, base.Allow)
	s.Forward = cmp.Or(s.Forward, base.Forward)
	s.User = cmp.Or(s.User, base.User)
	s.Port = cmp.Or(s.Port, base.Port)
	s.Timeout = cmp.Or(s.Timeout, base.Timeout)
	s.HMAC = cmp.Or(s.HMAC, base.HMAC)
	s.Digest = cmp.Or(s.Digest, base.Digest)
	s.Cipher = cmp.Or(s.Cipher, base.Cipher)
	s.Algorithm = cmp.Or(s.Algorithm, base.Algorithm)
	if s.Sequence == nil {
		s.Sequence = base.Sequence
	}
	if s.Open == nil {
		s.Open = base.Open
	}
	// A key and its file are one setting.
	if s.Key == nil && s.KeyFile == "" {
		s.Key, s.KeyFile = base.Key, base.KeyFile
	}
	if s.HMACKey == nil && s.HMACKeyFile == "" {
		s.HMACKey, s.HMACKeyFile = base.HMACKey, base.HMACKeyFile
	}
	return s
}

// orderDelay is the default pause between packets that must arrive in order. After TCP
// the client waits for an answer anyway. After a datagram it does not, and packets to
// different ports may be in different queues of a network card or a router.
const orderDelay = 20 * time.Millisecond

// defaults are the settings of a kind of knock where no source sets others.
func defaults(kind Kind, encoding Encoding) Settings {
	s := Settings{Kind: kind, Delay: new(time.Duration), Repeat: 1, Rotate: new(bool), Allow: Source}
	const burst = 2 // a repetition makes up for lost packets, since their order does not matter
	switch kind {
	case Shared:
	case Encrypted:
		if encoding != "" && encoding != SIV {
			s.Encoding, s.PortBase = encoding, seal.DefaultBase
			*s.Delay = orderDelay
			break
		}
		s.Encoding, s.PortBase, s.Repeat = SIV, seal.DefaultLaneBase, burst
	case SPA:
		hmac := spa.SHA256
		s.Port, s.HMAC, s.Digest, s.Cipher = spaPort, &hmac, spa.SHA256, new(spa.Cipher)
	case TOTP:
		s.PortBase, s.Repeat, s.Algorithm = totp.DefaultBase, burst, new(totp.Algorithm)
	}
	return s
}

// spaPort is the default port of fwknopd.
const spaPort = 62201
