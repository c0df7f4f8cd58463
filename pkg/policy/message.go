package policy

import (
	"fmt"
	"strings"

	"nftknock/pkg/invalid"
)

// Bounds of require_user.
const (
	maxUser  = 32 // bytes of a name, as on Linux (useradd(8))
	maxUsers = 1024
)

// readMessage reads what the message of a knock may ask for. carried is how many bytes
// of a user name the message can hold.
func readMessage(t *table, a *Access, carried int) {
	t.boolean("allow_other_address", &a.AllowOtherAddress)
	parse := func(s string) (string, error) { return parseUser(s, carried) }
	if !list(t, "require_user", &a.RequireUser, unique(parse, "user")) {
		return
	}
	// nil requires nothing, so an empty list must not be taken for a strict one.
	switch n := len(a.RequireUser); {
	case n == 0:
		t.fail(t.valueAt("require_user"), "require_user is empty, which is no requirement", "want user names; leave it out to require none")
	case n > maxUsers:
		t.fail(t.valueAt("require_user"), fmt.Sprintf("require_user has %d names", n), fmt.Sprintf("the limit is %d", maxUsers))
	}
}

// parseUser accepts the names that a message can hold: printable ASCII (packages seal
// and spa), and no longer than carried. A client cuts a longer name, which would then
// match none.
func parseUser(s string, carried int) (string, error) {
	switch {
	case s == "" || len(s) > maxUser || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", invalid.Newf(fmt.Sprintf("1 to %d printable ASCII characters and no blanks", maxUser), "bad user %s", quote(s))
	case len(s) > carried:
		return "", invalid.Newf(fmt.Sprintf("what the client cuts it to, %q", s[:carried]),
			"user %q has %d bytes, and this encoding carries %d", s, len(s), carried)
	}
	return s, nil
}
