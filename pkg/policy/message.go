package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"nftknock/pkg/invalid"
	"nftknock/pkg/spa"
	"nftknock/pkg/username"
)

// Bounds of require_user.
const (
	maxUser  = 48 // bytes of a name: what a packet of SPA carries
	maxUsers = 1024
)

// readMessage reads what the message of a knock may ask for. carried is how many bytes
// of a user name the message can hold.
func readMessage(t *table, a *Access, carried int) {
	t.boolean("allow_other_address", &a.AllowOtherAddress)
	names := userNames{carried: carried, ascii: a.Kind == KindEncrypted && a.Encoding != EncodingSIV}
	if a.Kind == KindSPA {
		names.without = spa.NotInUser
	}
	if !list(t, "require_user", &a.RequireUser, unique(names.parse, "user")) {
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

// userNames are the names that a message can hold (packages seal and spa).
type userNames struct {
	carried int    // bytes; a client cuts a longer name, which would then match none
	ascii   bool   // ASCII, and not any UTF-8
	without string // characters that no name has
}

func (n userNames) parse(s string) (string, error) {
	switch {
	case s == "" || len(s) > maxUser || strings.Contains(s, " ") || !username.Prints(s):
		return "", invalid.Newf(fmt.Sprintf("1 to %d bytes of UTF-8 that print, and no blanks", maxUser), "bad user %s", quote(s))
	case n.ascii && !isASCII(s):
		return "", invalid.Newf("ASCII, or encoding siv", "user %q is not ASCII, and this encoding carries nothing else", s)
	case strings.ContainsAny(s, n.without):
		return "", invalid.Newf("none of "+n.without, "user %q has a character that no client sends", s)
	case len(s) > n.carried:
		return "", invalid.Newf(fmt.Sprintf("what the client cuts it to, %q", username.Cut(s, n.carried)),
			"user %q has %d bytes, and this encoding carries %d", s, len(s), n.carried)
	}
	return s, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
