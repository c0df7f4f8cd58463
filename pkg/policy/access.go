package policy

import (
	"reflect"
	"regexp"
	"strings"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
	"nftknock/pkg/totp"
)

// An Access is one knock and what it opens. A field that says of which knocks it
// is has its zero value for the others.
type Access struct {
	Name    string // unique; letters, digits, "-", "_" and "."
	Enabled bool
	Source  SourceFilter // who may knock
	Kind    Kind
	Open    []port.Range  // no two overlap
	Timeout time.Duration // of a grant, 1 s to 24 h
	// SingleUse: the first connection, or datagram, uses a grant up.
	SingleUse bool
	// Prefix4 and Prefix6 are the lengths of the prefixes that a grant lets in,
	// around the address; 0 for the address alone.
	Prefix4, Prefix6 int
	Limit            int // how many knocks are honoured, ever; 0 for any number

	// RequireOS must match the label of every SYN of the knock; nil if any system
	// may knock. It ignores case. Both fields are of all knocks but SPA.
	RequireOS    *regexp.Regexp
	OSConfidence OSConfidence

	// Expires is the time from which the access is void; zero for never.
	Expires time.Time

	// Within bounds the time from the first packet of a knock to its last, up
	// to an hour. It is of all knocks but SPA.
	Within time.Duration

	// Sequence has knock.MinSequence to knock.MaxSequence elements. MinInterval
	// and MaxInterval bound the time between neighbours, and Reorder is how much
	// earlier than the one before it an element may arrive. Shared only.
	Sequence                          []port.Range
	MinInterval, MaxInterval, Reorder time.Duration

	// Encoding is how an encrypted knock is written in ports.
	Encoding Encoding

	// Key is that of encrypted knocks and SPA. HMACKey is SPA's second one, nil
	// if AllowUnauthenticated. Secret is that of one-time knocks; one goroutine
	// may use it at a time.
	//
	// Only Load reads them from files and credentials. They are nil where they were
	// not read: in accesses that are not enabled, after Parse, and where Check or
	// Inspect lack the permission.
	Key, HMACKey *secret.Key
	Secret       *totp.Secret
	// Where Key or Secret, and HMACKey, come from: the absolute path of a file,
	// or the name of a credential of systemd. Both are empty for a key that
	// is in the policy itself.
	KeyFile, KeyCredential         string
	HMACKeyFile, HMACKeyCredential string
	// Withheld: a key of this access is in the policy itself, and the text that this access
	// was read from, which WriteKept has written, is without it. OpenKeys fails.
	Withheld bool

	// PortBase is the first of the ports that encrypted and one-time knocks go
	// to. Protocol is what their packets may be, and SPA's.
	PortBase uint16
	Protocol Protocol
	// Port is the port of SPA, or the first of several ports. LastPort is the last of
	// them then, and 0 otherwise.
	Port, LastPort uint16

	// RequireUser holds the names of which a knock must carry one; nil if the name
	// does not matter. AllowOtherAddress lets the sender open for another address
	// than its own. Both are of encrypted knocks and SPA.
	RequireUser       []string
	AllowOtherAddress bool
	// Window is how far a knock's time may be from ours, both ways. It is of
	// EncodingSIV and of SPA.
	Window time.Duration
	// MaxTimeout is the longest timeout that a packet of SPA may ask for,
	// Timeout to 24 h.
	MaxTimeout time.Duration

	// HMAC is the hash of the HMAC, and Cipher how the packets are encrypted.
	// AllowUnauthenticated is set where they may come without HMAC. SPA only.
	HMAC                 spa.Hash
	Cipher               spa.Cipher
	AllowUnauthenticated bool

	// Algorithm is that of the codes. After more than MaxAttempts wrong codes in a
	// step of 30 s, 1 to 1000, the access ignores the step. One-time only.
	Algorithm   totp.Algorithm
	MaxAttempts int

	Pos Pos // of the [[access]] line
}

// Kind is a kind of knock: the value of the policy's key "knock".
type Kind string

// The kinds of knock.
const (
	KindShared    Kind = "shared"    // a sequence of packets known to both sides
	KindEncrypted Kind = "encrypted" // a sealed message, a byte a packet
	KindTOTP      Kind = "totp"      // a one-time password, two digits a packet
	KindSPA       Kind = "spa"       // one packet of fwknop 2.x
)

// kinds are the kinds of knock in the order in which they are named.
var kinds = []Kind{KindShared, KindEncrypted, KindTOTP, KindSPA}

// Encoding is how an encrypted knock is written in ports.
type Encoding string

// The encodings of encrypted knocks; see package seal.
const (
	EncodingSIV      Encoding = "siv"
	EncodingArticle  Encoding = "article"
	EncodingFwknop19 Encoding = "fwknop-1.9"
)

// Protocol is what the packets of a knock may be.
type Protocol string

// The protocols of knocks.
const (
	ProtocolAny  Protocol = "any" // TCP and UDP, in any mixture; of SPA, ICMP too
	ProtocolTCP  Protocol = "tcp" // SYNs alone
	ProtocolUDP  Protocol = "udp"
	ProtocolICMP Protocol = "icmp" // SPA only: messages of any type over IPv4
)

// OSConfidence is how sure a fingerprint must be to satisfy RequireOS.
type OSConfidence string

// The degrees of confidence.
const (
	ConfidenceHigh OSConfidence = "high"
	ConfidenceLow  OSConfidence = "low"
)

// The defaults of Within: about twice what the slowest client of a kind takes that
// sends a knock by itself. docs/knocks.md lists the clients.
const (
	defaultWithin = 60 * time.Second
	// fwknop19Within is for the Perl client: over TCP it takes 62 s.
	fwknop19Within = 120 * time.Second
)

// defaultAccess is the access of an empty [[access]] of a kind, and of an
// encrypted one with EncodingSIV. The defaults of MaxInterval and MaxTimeout are the
// values of Within and Timeout, so that their readers set them.
func defaultAccess(kind Kind) Access {
	a := Access{
		Enabled: true,
		Source:  Anyone(),
		Kind:    kind,
		Timeout: 30 * time.Second,
	}
	if kind != KindSPA {
		a.OSConfidence = ConfidenceHigh
		a.Within = defaultWithin
	}
	switch kind {
	case KindShared:
		a.Reorder = 100 * time.Millisecond
	case KindEncrypted:
		a.Encoding = EncodingSIV
		a.Protocol = ProtocolAny
	case KindTOTP:
		a.Protocol = ProtocolAny
		a.PortBase = totp.DefaultBase
		a.Algorithm = totp.SHA1
		a.MaxAttempts = 10
	case KindSPA:
		a.Port = 62201
		a.Protocol = ProtocolUDP
		a.Window = 120 * time.Second
		a.HMAC = spa.SHA256
		a.Cipher = spa.CBC
	}
	return a
}

// Equal reports whether two accesses are the same, keys and all, but for the
// place where they are written. Keys are compared in constant time.
func (a *Access) Equal(b *Access) bool {
	// Keys first: reflect.DeepEqual would compare their functions, which are never equal.
	return a.Key.Equal(b.Key) && a.HMACKey.Equal(b.HMACKey) && a.Secret.Equal(b.Secret) &&
		expression(a.RequireOS) == expression(b.RequireOS) &&
		a.Expires.Equal(b.Expires) &&
		reflect.DeepEqual(a.plain(), b.plain())
}

// plain is the access without the fields that reflect.DeepEqual compares in another
// way than Equal.
func (a *Access) plain() Access {
	p := *a
	p.Pos = Pos{}
	p.Key, p.HMACKey, p.Secret = nil, nil, nil
	p.RequireOS = nil
	p.Expires = time.Time{}
	return p
}

// OSRequired is RequireOS as the administrator wrote it, and empty without one.
func (a *Access) OSRequired() string { return strings.TrimPrefix(expression(a.RequireOS), ignoreCase) }

// expression is the text of a regular expression. No RequireOS is the empty
// one, which is never one that was read.
func expression(re *regexp.Regexp) string {
	if re == nil {
		return ""
	}
	return re.String()
}
