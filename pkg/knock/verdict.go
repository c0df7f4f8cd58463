package knock

import (
	"net/netip"
	"time"

	"nftknock/pkg/p0f"
)

// A Verdict is the result of a knock that has come to its end: it was completed, or
// it can no longer be.
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
	// Again says that a shared sequence came complete once more within five seconds. It may
	// be a second round of the same knock, which some clients send: it is to count as
	// another knock only if what the one before opened has ended or was used up. It is
	// false where Reason is not None.
	Again bool
	// Request is what the knock asks for; nil unless a key authenticated it,
	// and for shared sequences, which ask for all that their access opens.
	Request *Request
}

// NoAccess is the access of a verdict on a knock that no key opens, where it
// may have been meant for several.
const NoAccess = -1

// Granted reports whether the access is granted.
func (v *Verdict) Granted() bool { return v.Reason == None }
