package event

// Code is why a knock was refused, in a word for programs: it stays the same while
// the sentences may change.
type Code string

// The codes.
const (
	OutOfOrder   Code = "out_of_order"
	TooFast      Code = "too_fast"
	TooSlow      Code = "too_slow"
	Tripwire     Code = "tripwire"
	Scan         Code = "scan"
	WrongOS      Code = "wrong_os" // Refused has a sentence of its own for it
	Expired      Code = "expired"
	Incomplete   Code = "incomplete"
	Evicted      Code = "evicted"
	Malformed    Code = "malformed"
	Late         Code = "late"
	NoKey        Code = "no_key"
	TooManyCodes Code = "too_many_codes"
	WrongSource  Code = "wrong_source"
	TooOld       Code = "too_old"
	TooNew       Code = "too_new"
	WrongUser    Code = "wrong_user"
	OtherAddress Code = "other_address"
	NotOpen      Code = "not_open"
	Command      Code = "command"
	NAT          Code = "nat"

	// Of the replay store.
	AlreadyUsed  Code = "already_used"
	LimitReached Code = "limit_reached"
	Pruned       Code = "pruned" // older than what the store still holds

	// Changed is that of an access that a reload changed during the knock.
	Changed Code = "changed"
)
