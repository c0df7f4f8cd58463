// Package p0f tells operating systems apart by the TCP SYNs they send, in the
// manner of Michal Zalewski's p0f: what a stack puts into the first packet of
// a connection (initial TTL, window, option layout and a list of quirks) is
// compared with a table of signatures.
//
// A Database comes from Builtin, from a file (Parse), or from several of them
// (Merge). It never changes, and any number of goroutines may use it. Match
// looks at one packet, takes no lock and allocates nothing.
//
// A fingerprint is evidence, not proof: every field of a SYN can be forged,
// and a NAT, a proxy or a VPN shows its own. Match therefore says how well
// the packet fits, and the caller decides how much that is worth.
package p0f

// Confidence says how well a packet fits the label it was given.
type Confidence uint8

const (
	// None: no signature fits, or the packet is no pure SYN.
	None Confidence = iota
	// Low: a signature fits but for something that networks or tuning
	// change: the TTL is above the system's initial one or more than
	// MaxDistance below it, DF is missing, or there is an ECN bit too many.
	Low
	// Family: a generic signature fits, which stands for a whole family.
	Family
	// Exact: a specific signature fits in all its fields.
	Exact
)

// String gives "none", "low", "family" or "exact".
func (c Confidence) String() string {
	switch c {
	case None:
		return "none"
	case Low:
		return "low"
	case Family:
		return "family"
	case Exact:
		return "exact"
	}
	return "invalid"
}

// MaxDistance is the number of hops below the initial TTL up to which a TTL
// is believed to stem from it. Paths in the Internet are shorter.
const MaxDistance = 35

// Match is what a Database makes of one packet.
type Match struct {
	// Label indexes the database's Labels. It means nothing when Confidence
	// is None.
	Label LabelID
	// Class is the label's: OS or Tool.
	Class Class
	// Confidence is None when no signature fits.
	Confidence Confidence
	// Distance is the number of routers the packet seems to have crossed: the
	// initial TTL of the signature less the packet's. Where the signature
	// does not say (no signature, or the packet's TTL is above it), the
	// initial TTL is taken to be the next of 32, 64, 128 and 255; and so where
	// the signature has it random.
	Distance uint8
}
