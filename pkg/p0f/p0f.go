// Package p0f tells operating systems apart by the TCP SYNs they send, in the
// manner of Michal Zalewski's p0f: what a stack puts into the first packet of
// a connection (initial TTL, window, option layout and a list of quirks) is
// compared with a table of signatures.
//
// A Database comes from Builtin, from a file (Parse), or from several of them
// (Merge). It never changes, and any number of goroutines may use it. Match
// looks at one packet, takes no lock and allocates nothing.
//
// A fingerprint is evidence, not proof: every field of a SYN can be forged, and
// behind a proxy or some VPNs the SYN is not the client's own. Match therefore
// returns how well the packet fits; how far to rely on that is up to the caller.
package p0f

// Confidence is how well a packet fits the label of its Match.
type Confidence uint8

const (
	// None: no signature fits, or the packet is not a pure SYN.
	None Confidence = iota
	// Low: a signature fits except for fields that networks or tuning change: the
	// TTL is above the system's initial one or more than MaxDistance below it, the
	// quirks df or id+ are missing, or id- or ecn are added. Or a generic signature of
	// a stack fits, which says little.
	Low
	// Family: a generic signature fits, which stands for a whole family; or a specific
	// one of the built-in table, and the TTL is another's (see Database.Match).
	Family
	// Exact: a specific signature fits in all its fields.
	Exact
)

// String returns "none", "low", "family" or "exact".
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

// MaxDistance is how far below a signature's initial TTL the TTL of a packet may
// be. Paths in the Internet have fewer hops.
const MaxDistance = 35

// Match is the result of comparing one packet with a Database.
type Match struct {
	// Label indexes the database's Labels. It is not valid if Confidence is None.
	Label LabelID
	// Class is the class of the label.
	Class Class
	// Confidence is None when no signature fits.
	Confidence Confidence
	// Distance is the number of routers that the packet seems to have crossed:
	// the initial TTL of the signature minus that of the packet. If no signature
	// fits, if the packet's TTL is above the initial one, or if that is random,
	// the next of 32, 64, 128 and 255 is taken for the initial TTL.
	Distance uint8
}
