package knock

import (
	"regexp"
	"testing"
)

func TestReasonsHaveCodesAndWords(t *testing.T) {
	if None.Code() != "" || None.String() != "" {
		t.Errorf("no reason: code %q, words %q", None.Code(), None)
	}
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	codes, words := make(map[string]Reason), make(map[string]Reason)
	for r := None + 1; r < numReasons; r++ {
		if !form.MatchString(r.Code()) || r.String() == "" {
			t.Errorf("reason %d: code %q, words %q", r, r.Code(), r)
		}
		if other, ok := codes[r.Code()]; ok {
			t.Errorf("%d and %d have the code %q", other, r, r.Code())
		}
		if other, ok := words[r.String()]; ok {
			t.Errorf("%d and %d have the words %q", other, r, r)
		}
		codes[r.Code()], words[r.String()] = r, r
	}
	// Others evaluate them: one of these may be added to, and not changed.
	for code, r := range map[string]Reason{
		"out_of_order": OutOfOrder, "too_fast": TooFast, "too_slow": TooSlow, "tripwire": Tripwire, "scan": Scan,
		"wrong_os": WrongOS, "expired": Expired, "incomplete": Incomplete, "evicted": Evicted, "malformed": Malformed,
		"late": Late, "no_key": NoKey, "too_many_codes": TooManyCodes, "wrong_source": WrongSource, "too_old": TooOld,
		"too_new": TooNew, "wrong_user": WrongUser, "other_address": OtherAddress, "not_open": NotOpen,
		"command": Command, "nat": NAT, "bad_user": BadUser,
	} {
		if r.Code() != code {
			t.Errorf("reason %q: code %q, want %q", r, r.Code(), code)
		}
	}
}
