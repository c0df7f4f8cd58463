package client

// Kind is a kind of knock, by the name that it has in hosts.toml and in the
// server's policy.
type Kind string

// The kinds of knock.
const (
	Shared    Kind = "shared"    // a sequence of packets known to both sides
	Encrypted Kind = "encrypted" // a sealed message, one byte per packet
	SPA       Kind = "spa"       // one datagram of fwknop 2.x
	TOTP      Kind = "totp"      // a one-time code, two digits per packet
)

// Kinds are all kinds of knock.
var Kinds = []Kind{Shared, Encrypted, SPA, TOTP}

// Encoding is how an encrypted knock is written in ports; see package seal.
type Encoding string

// The encodings of encrypted knocks.
const (
	SIV      Encoding = "siv"
	Article  Encoding = "article"
	Fwknop19 Encoding = "fwknop-1.9"
)

// Encodings are all encodings of encrypted knocks.
var Encodings = []Encoding{SIV, Article, Fwknop19}
