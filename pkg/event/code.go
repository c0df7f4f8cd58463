package event

// Code is why a knock was refused, in a word for programs: it stays the same while
// the sentences may change.
type Code string

// The codes.
const (
	CodeOutOfOrder   Code = "out_of_order"
	CodeTooFast      Code = "too_fast"
	CodeTooSlow      Code = "too_slow"
	CodeTripwire     Code = "tripwire"
	CodeScan         Code = "scan"
	CodeWrongOS      Code = "wrong_os" // Refused has a sentence of its own for it
	CodeExpired      Code = "expired"
	CodeIncomplete   Code = "incomplete"
	CodeEvicted      Code = "evicted"
	CodeMalformed    Code = "malformed"
	CodeLate         Code = "late"
	CodeNoKey        Code = "no_key"
	CodeTooManyCodes Code = "too_many_codes"
	CodeWrongSource  Code = "wrong_source"
	CodeTooOld       Code = "too_old"
	CodeTooNew       Code = "too_new"
	CodeWrongUser    Code = "wrong_user"
	CodeOtherAddress Code = "other_address"
	CodeNotOpen      Code = "not_open"
	CodeCommand      Code = "command"
	CodeNAT          Code = "nat"

	// Of the replay store.
	CodeAlreadyUsed  Code = "already_used"
	CodeLimitReached Code = "limit_reached"
	CodePruned       Code = "pruned" // older than what the store still holds

	// CodeChanged is that of an access that a reload changed during the knock.
	CodeChanged Code = "changed"
)

// Codes gives all of them.
func Codes() []Code {
	return []Code{
		CodeOutOfOrder, CodeTooFast, CodeTooSlow, CodeTripwire, CodeScan, CodeWrongOS, CodeExpired, CodeIncomplete,
		CodeEvicted, CodeMalformed, CodeLate, CodeNoKey, CodeTooManyCodes, CodeWrongSource, CodeTooOld, CodeTooNew,
		CodeWrongUser, CodeOtherAddress, CodeNotOpen, CodeCommand, CodeNAT, CodeAlreadyUsed, CodeLimitReached,
		CodePruned, CodeChanged,
	}
}
