package policy

import (
	"fmt"

	"nftknock/pkg/knock"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
	"nftknock/pkg/wording"
)

// readSPA reads the keys of a single packet authorization.
func readSPA(t *table, a *Access) {
	choice(t, "protocol", &a.Protocol, words[Protocol]{known: []Protocol{ProtocolUDP, ProtocolTCP, ProtocolICMP, ProtocolAny}})
	readPorts(t, a)
	readMessage(t, a, maxUser)
	t.duration("window", &a.Window, minWindow, knock.MaxWindow)
	readMaxTimeout(t, a)
	parsed(t, "cipher", &a.Cipher, spa.ParseCipher)
	parsed(t, "hmac", &a.HMAC, spa.ParseHash)
	t.boolean("allow_unauthenticated", &a.AllowUnauthenticated)
	readKey(t, a)
	readHMACKey(t, a)
}

// readPorts reads one port, which is a number, or several, which are a string.
func readPorts(t *table, a *Access) {
	const want = `an integer from 1 to 65535, "any", or a range such as "10000-65535"`
	if !t.has("port") {
		return
	}
	switch v := t.values["port"].(type) {
	case string:
		first, last, err := port.ParsePorts(v)
		if err != nil {
			t.fail(t.valueAt("port"), "bad port "+quote(v), "want "+want)
		}
		a.Port, a.LastPort = first, last
	case int64:
		integer(t, "port", &a.Port, bounds{1, 65535})
	default:
		t.mismatch("port", want)
	}
	if a.Protocol == ProtocolICMP {
		// As without the key: it has no effect, and is not written (see warnPort).
		a.Port, a.LastPort = defaultAccess(KindSPA).Port, 0
	}
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
