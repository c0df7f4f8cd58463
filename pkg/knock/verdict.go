package knock

import (
	"net/netip"
	"time"

	"nftknock/pkg/p0f"
)

// A Verdict is what the engine has to say of a knock that has come to its
// end: it was completed, or it can no longer be.
type Verdict struct {
	Time time.Time // of the packet that decided
	// Access is an index in Config.Accesses, or NoAccess.
	Access int
	Source netip.Addr
	// Reason is None when access is granted.
	Reason Reason
	// Step counts the packets of the knock that had arrived, without
	// repetitions.
	Step int
	// OS is the fingerprint that decided: the one that failed the
	// requirement, or else that of the last SYN of the knock. Its
	// confidence is p0f.None when the knock held no SYN.
	OS p0f.Match
	// Request is what the knock asks for; nil unless a key authenticated it,
	// and for shared sequences, which ask for all that their access opens.
	Request *Request
}

// NoAccess is the access of a verdict on a knock that no key opens, where it
// may have been meant for several.
const NoAccess = -1

// Granted reports whether the knocker may be let in.
func (v *Verdict) Granted() bool { return v.Reason == None }

// Reason is why a knock was refused.
type Reason uint8

// The reasons.
const (
	None         Reason = iota
	OutOfOrder          // an element came before its turn, beyond Reorder
	TooFast             // two neighbours closer than MinInterval
	TooSlow             // two neighbours further apart than MaxInterval, or the whole longer than Within
	Tripwire            // the source touched a port no knock touches
	Scan                // complete, but the source had touched a tripwire shortly before
	WrongOS             // a SYN of the knock was not sent by the required system, or there was none
	Expired             // the access is past its date
	Incomplete          // nothing more came
	Evicted             // the table was full of knocks from the same prefix
	Malformed           // authenticated, and breaks its format
	Late                // good, but not looked at while it was in time
	NoKey               // complete, but no key or code is right
	TooManyCodes        // too many wrong codes were tried in this half minute
	WrongSource         // the access is not for this source
	TooOld              // made before the window
	TooNew              // made after the window
	WrongUser           // the user may not
	OtherAddress        // asks for another address than its own
	NotOpen             // asks for a port that the access does not open
	Command             // asks for a command to be run
	NAT                 // asks for a translated port
	numReasons
)

var reasonText = [numReasons]string{
	None:         "",
	OutOfOrder:   "sequence out of order",
	TooFast:      "packets too close together",
	TooSlow:      "packets too far apart",
	Tripwire:     "touched a port outside the sequence",
	Scan:         "looks like a port scan",
	WrongOS:      "operating system does not match",
	Expired:      "access has expired",
	Incomplete:   "sequence not completed",
	Evicted:      "too many unfinished knocks",
	Malformed:    "malformed message",
	Late:         "there was no time to look at it",
	NoKey:        "no key opens it",
	TooManyCodes: "too many wrong codes",
	WrongSource:  "the access is not for this address",
	TooOld:       "too old",
	TooNew:       "too new",
	WrongUser:    "the user may not knock here",
	OtherAddress: "asks for another address than its own",
	NotOpen:      "asks for a port that the access does not open",
	Command:      "asks for a command, and commands are never run",
	NAT:          "asks for a forwarded port, and none is forwarded in this version",
}

// String gives the words the log uses.
func (r Reason) String() string { return reasonText[r] }
