package knock

// Reason is why a knock was refused.
type Reason uint8

// The reasons. Their numbers may change; Code returns what may be stored.
const (
	None         Reason = iota
	OutOfOrder          // an element came before its predecessor by more than Reorder
	TooFast             // two neighbours closer than MinInterval
	TooSlow             // two neighbours further apart than MaxInterval, or the whole longer than Within
	Tripwire            // the source sent a packet to a tripwire port
	Scan                // complete, but the source had touched a tripwire shortly before
	WrongOS             // a SYN of the knock was not sent by the required system, or there was none
	Expired             // the access is past its date
	Incomplete          // packets are missing and the time is over
	Evicted             // the table was full of knocks from the same prefix
	Malformed           // authenticated, but badly formed
	Late                // good, but not checked while it was in time
	NoKey               // complete, but no key or code is right
	TooManyCodes        // too many wrong codes were tried in this half minute
	WrongSource         // the access is not for this source
	TooOld              // made before the window
	TooNew              // made after the window
	WrongUser           // the user is not among those of the access
	OtherAddress        // asks for another address than its own
	NotOpen             // asks for a port that the access does not open
	Command             // asks for a command to be run
	NAT                 // asks for a translated port
	BadUser             // the user name is no text that prints
	numReasons
)

// reasons hold the code and the words of each Reason. Codes never change: they
// stand in events and metrics that others evaluate.
var reasons = [numReasons]struct{ code, words string }{
	None:         {"", ""},
	OutOfOrder:   {"out_of_order", "sequence out of order"},
	TooFast:      {"too_fast", "packets too close together"},
	TooSlow:      {"too_slow", "packets too far apart"},
	Tripwire:     {"tripwire", "sent a packet to a tripwire port"},
	Scan:         {"scan", "looks like a port scan"},
	WrongOS:      {"wrong_os", "operating system does not match"},
	Expired:      {"expired", "access has expired"},
	Incomplete:   {"incomplete", "sequence not completed"},
	Evicted:      {"evicted", "too many unfinished knocks"},
	Malformed:    {"malformed", "malformed message"},
	Late:         {"late", "checked too late: the CPU budget was exhausted"},
	NoKey:        {"no_key", "no key matches"},
	TooManyCodes: {"too_many_codes", "too many wrong codes"},
	WrongSource:  {"wrong_source", "the access is not for this address"},
	TooOld:       {"too_old", "too old"},
	TooNew:       {"too_new", "too new"},
	WrongUser:    {"wrong_user", "the user may not knock here"},
	OtherAddress: {"other_address", "asks for another address than its own"},
	NotOpen:      {"not_open", "asks for a port that the access does not open"},
	Command:      {"command", "asks for a command, and commands are never run"},
	NAT:          {"nat", "asks for a forwarded port that the access does not allow"},
	BadUser:      {"bad_user", "the user name is not UTF-8, has characters that do not print, or is too long"},
}

// String returns the words of the log, none for None.
func (r Reason) String() string { return reasons[r].words }

// Code returns a short name of lower case letters and underscores, the same in every
// version; it is empty for None.
func (r Reason) Code() string { return reasons[r].code }
