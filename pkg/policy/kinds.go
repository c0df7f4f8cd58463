package policy

import "slices"

// A kindKey is a key of an access that only some kinds of knock have.
type kindKey struct {
	name string
	of   []Kind
	// why says why the other kinds cannot have it; empty where the name says it.
	why string
}

// Kinds of knock that share keys.
var (
	sharedOnly    = []Kind{KindShared}
	encryptedOnly = []Kind{KindEncrypted}
	totpOnly      = []Kind{KindTOTP}
	spaOnly       = []Kind{KindSPA}

	severalPackets = []Kind{KindShared, KindEncrypted, KindTOTP}
	withKey        = []Kind{KindEncrypted, KindTOTP, KindSPA}
	portRange      = []Kind{KindEncrypted, KindTOTP} // the port of a packet is its content
	withMessage    = []Kind{KindEncrypted, KindSPA}
)

// kindKeys are all of them, in the order in which they are documented.
var kindKeys = []kindKey{
	{"require_os", severalPackets, "its packet is made by the client and not by the system, and has no fingerprint of it"},
	{"os_confidence", severalPackets, "its packet is made by the client and not by the system, and has no fingerprint of it"},
	{"within", severalPackets, "it is one packet"},

	{"sequence", sharedOnly, ""},
	{"min_interval", sharedOnly, ""},
	{"max_interval", sharedOnly, ""},
	{"reorder", sharedOnly, ""},

	{"key", withKey, ""},
	{"key_file", withKey, ""},
	{"key_credential", withKey, ""},
	{"require_user", withMessage, "it carries no user name"},
	{"allow_other_address", withMessage, "it carries no address and opens for its sender"},
	{"window", withMessage, "it carries no time"},
	{"port_base", portRange, ""},
	{"protocol", withKey, ""},

	{"encoding", encryptedOnly, ""},
	{"algorithm", totpOnly, ""},
	{"max_attempts", totpOnly, ""},

	{"port", spaOnly, ""},
	{"hmac_key", spaOnly, ""},
	{"hmac_key_file", spaOnly, ""},
	{"hmac_key_credential", spaOnly, ""},
	{"hmac", spaOnly, ""},
	{"cipher", spaOnly, ""},
	{"allow_unauthenticated", spaOnly, ""},
	{"max_timeout", spaOnly, "it cannot ask for a timeout"},
}

// commonKeys are the keys that all accesses have.
var commonKeys = []string{"name", "enabled", "source", "knock", "open", "timeout", "limit", "expires", "single_use", "prefix4", "prefix6", "forward", "masquerade"}

// allKeys are the names of all sections and keys that a policy can have.
func allKeys() []string {
	return slices.Concat([]string{"access"}, sectionNames, sectionKeys, commonKeys, keysOfKinds())
}

// keysOfKinds are the names of all kindKeys.
func keysOfKinds() []string {
	names := make([]string, len(kindKeys))
	for i, k := range kindKeys {
		names[i] = k.name
	}
	return names
}

// refuseOthers reports the keys that the kind of knock does not have.
func refuseOthers(t *table, kind Kind) {
	for _, k := range kindKeys {
		if _, ok := t.values[k.name]; !ok || slices.Contains(k.of, kind) {
			continue
		}
		message := `knock "` + string(kind) + `" has no ` + k.name
		// For most keys the name of the kind says why it lacks them.
		if k.why != "" {
			message += ": " + k.why
		}
		hint := k.name + " is for knock " + oneOf(k.of)
		// Who forgets it is told of a kind that is nowhere in the file.
		if !t.has("knock") {
			hint += "; without the key knock an access is " + `"shared"`
		}
		t.misplaced(k.name, message, hint)
	}
}
