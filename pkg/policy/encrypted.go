package policy

import (
	"fmt"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/seal"
)

const (
	minWindow     = time.Second
	defaultWindow = 60 * time.Second // of EncodingSIV
)

// readEncrypted reads the keys of an encrypted knock.
func readEncrypted(t *table, a *Access) {
	if t.has("encoding") && !choice(t, "encoding", &a.Encoding, words[Encoding]{known: []Encoding{EncodingSIV, EncodingArticle, EncodingFwknop19}}) {
		a.Encoding = "" // nothing that depends on it is looked at
	}
	// The default and the greatest base depend on how many ports the encoding takes: 256,
	// or 12800 of siv.
	maxBase := int64(seal.MaxBase)
	switch a.Encoding {
	case EncodingSIV:
		a.PortBase, maxBase = seal.DefaultLaneBase, seal.MaxLaneBase
	case EncodingArticle, EncodingFwknop19:
		a.PortBase = seal.DefaultBase
	}
	if a.Encoding == EncodingFwknop19 {
		a.Within = fwknop19Within
	}
	integer(t, "port_base", &a.PortBase, bounds{1, maxBase})
	readProtocol(t, a)
	t.duration("within", &a.Within, minWithin, maxWithin)
	readOS(t, a)
	checkSYN(t, a)
	readMessage(t, a, userBytes(a.Encoding))
	readSealedWindow(t, a)
	readKey(t, a)
}

// readProtocol reads what the packets of a knock may be.
func readProtocol(t *table, a *Access) {
	choice(t, "protocol", &a.Protocol, words[Protocol]{known: []Protocol{ProtocolAny, ProtocolTCP, ProtocolUDP}})
}

// checkSYN refuses to require a fingerprint where there is none.
func checkSYN(t *table, a *Access) {
	if t.has("require_os") && a.Protocol == ProtocolUDP {
		t.fail(t.keyAt("require_os"), `require_os can never match: with protocol "udp" the knock has no SYN, and only a SYN has a fingerprint`,
			`want protocol "tcp" or "any", or remove require_os`)
	}
}

// readSealedWindow reads the window of the one encoding that has one.
func readSealedWindow(t *table, a *Access) {
	switch a.Encoding {
	case EncodingSIV:
		a.Window = defaultWindow
		t.duration("window", &a.Window, minWindow, knock.MaxSealedWindow)
	case EncodingArticle, EncodingFwknop19:
		t.misplaced("window", fmt.Sprintf("encoding %q has no window: it carries no time", string(a.Encoding)),
			fmt.Sprintf("window is for encoding %q", string(EncodingSIV)))
	default:
		t.has("window") // known, whatever the encoding was meant to be
	}
}

// userBytes is how much of a user's name an encoding carries.
func userBytes(e Encoding) int {
	switch e {
	case EncodingArticle, EncodingFwknop19:
		return 7
	case EncodingSIV:
		return 8
	}
	return maxUser
}
