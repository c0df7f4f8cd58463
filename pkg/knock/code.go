package knock

var reasonCode = [numReasons]string{
	OutOfOrder: "out_of_order", TooFast: "too_fast", TooSlow: "too_slow", Tripwire: "tripwire", Scan: "scan", WrongOS: "wrong_os",
	Expired: "expired", Incomplete: "incomplete", Evicted: "evicted", Malformed: "malformed", Late: "late", NoKey: "no_key",
	TooManyCodes: "too_many_codes", WrongSource: "wrong_source", TooOld: "too_old", TooNew: "too_new", WrongUser: "wrong_user",
	OtherAddress: "other_address", NotOpen: "not_open", Command: "command", NAT: "nat",
}

// Code is a word for the reason that programs compare.
func (r Reason) Code() string { return reasonCode[r] }
