package knock

import (
	"net/netip"
	"time"

	"nftknock/pkg/p0f"
)

// A Verdict is what the engine has to say of a knock that has come to its
// end: it was completed, or it can no longer be.
type Verdict struct {
	Time   time.Time // of the packet that decided
	Access int       // index in Config.Accesses
	Source netip.Addr
	// Reason is None when access is granted.
	Reason Reason
	// Step counts the elements of the sequence that had arrived.
	Step int
	// OS is the fingerprint that decided: the one that failed the
	// requirement, or else that of the last SYN of the knock. Its
	// confidence is p0f.None when the knock held no SYN.
	OS p0f.Match
}

// Granted reports whether the knocker may be let in.
func (v *Verdict) Granted() bool { return v.Reason == None }

// Reason is why a knock was refused.
type Reason uint8

// The reasons.
const (
	None       Reason = iota
	OutOfOrder        // an element came before its turn, beyond Reorder
	TooFast           // two neighbours closer than MinInterval
	TooSlow           // two neighbours further apart than MaxInterval, or the whole longer than Within
	Tripwire          // the source touched a port no knock touches
	Scan              // complete, but the source had touched a tripwire shortly before
	WrongOS           // a SYN of the knock was not sent by the required system
	Expired           // the access is past its date
	Incomplete        // nothing more came
	Evicted           // the table was full of knocks from the same prefix
	numReasons
)

var reasonText = [numReasons]string{
	None:       "",
	OutOfOrder: "sequence out of order",
	TooFast:    "packets too close together",
	TooSlow:    "packets too far apart",
	Tripwire:   "touched a port outside the sequence",
	Scan:       "looks like a port scan",
	WrongOS:    "operating system does not match",
	Expired:    "access has expired",
	Incomplete: "sequence not completed",
	Evicted:    "too many unfinished knocks",
}

// String gives the words the log uses.
func (r Reason) String() string { return reasonText[r] }
