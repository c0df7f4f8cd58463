package policy

import (
	"fmt"

	"nftknock/pkg/knock"
	"nftknock/pkg/spa"
	"nftknock/pkg/wording"
)

// readSPA reads the keys of a single packet authorization.
func readSPA(t *table, a *Access) {
	integer(t, "port", &a.Port, bounds{1, 65535})
	readMessage(t, a, maxUser)
	t.duration("window", &a.Window, minWindow, knock.MaxWindow)
	readMaxTimeout(t, a)
	parsed(t, "cipher", &a.Cipher, spa.ParseCipher)
	parsed(t, "hmac", &a.HMAC, spa.ParseHash)
	t.boolean("allow_unauthenticated", &a.AllowUnauthenticated)
	readKey(t, a)
	readHMACKey(t, a)
}

func readMaxTimeout(t *table, a *Access) {
	// A packet may ask for less time than timeout, and for more only up to this.
	a.MaxTimeout = a.Timeout
	t.duration("max_timeout", &a.MaxTimeout, minTimeout, maxTimeout)
	if a.MaxTimeout < a.Timeout {
		t.fail(t.valueAt("max_timeout"), fmt.Sprintf("max_timeout %s is below timeout %s", wording.Duration(a.MaxTimeout), wording.Duration(a.Timeout)),
			"want at least "+wording.Duration(a.Timeout))
	}
}

// authenticated reports whether the packets must come with an HMAC.
func (a *Access) authenticated() bool {
	return a.HMACKey != nil || a.HMACKeyFile != "" || a.HMACKeyCredential != ""
}
