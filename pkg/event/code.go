package event

// Code says in a word for programs why a knock was refused. Codes stay the same when the
// sentences of the log change.
type Code string

// The codes.
const (
	CodeOutOfOrder   Code = "out_of_order"
	CodeTooFast      Code = "too_fast"
	CodeTooSlow      Code = "too_slow"
	CodeTripwire     Code = "tripwire"
	CodeScan         Code = "scan"
	CodeWrongOS      Code = "wrong_os" // the sentence of Refused is another one
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
	CodeBadUser      Code = "bad_user"

	// Of the store of spent tokens.
	CodeAlreadyUsed  Code = "already_used"
	CodeLimitReached Code = "limit_reached"
	CodePruned       Code = "pruned" // the token expires before tokens that were pruned

	// CodeRepeated: a shared sequence once more within five seconds, while the grant of the
	// one before has neither ended nor been used up.
	CodeRepeated Code = "repeated"

	// CodeChanged: a reload changed the access during the knock.
	CodeChanged Code = "changed"
)

// Codes returns all codes.
func Codes() []Code {
	return []Code{
		CodeOutOfOrder, CodeTooFast, CodeTooSlow, CodeTripwire, CodeScan, CodeWrongOS, CodeExpired, CodeIncomplete,
		CodeEvicted, CodeMalformed, CodeLate, CodeNoKey, CodeTooManyCodes, CodeWrongSource, CodeTooOld, CodeTooNew,
		CodeWrongUser, CodeOtherAddress, CodeNotOpen, CodeCommand, CodeNAT, CodeBadUser, CodeAlreadyUsed, CodeLimitReached,
		CodePruned, CodeRepeated, CodeChanged,
	}
}
