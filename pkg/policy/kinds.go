package policy

import "slices"

// A kindKey is a key of an access that only some kinds of knock have.
type kindKey struct {
	name string
	of   []Knock
	// why says what the others lack; empty where the key's name does.
	why string
}

// Which kinds have what.
var (
	ofSharedOnly    = []Knock{KnockShared}
	ofEncryptedOnly = []Knock{KnockEncrypted}
	ofTOTPOnly      = []Knock{KnockTOTP}
	ofSPAOnly       = []Knock{KnockSPA}

	withPackets  = []Knock{KnockShared, KnockEncrypted, KnockTOTP} // several
	withKeys     = []Knock{KnockEncrypted, KnockTOTP, KnockSPA}
	withPorts    = []Knock{KnockEncrypted, KnockTOTP} // that say something
	withMessages = []Knock{KnockEncrypted, KnockSPA}
)

// kindKeys are all of them, in the order in which they are documented.
var kindKeys = []kindKey{
	{"require_os", withPackets, "it is one UDP packet, and only a SYN has a fingerprint"},
	{"os_confidence", withPackets, "it is one UDP packet, and only a SYN has a fingerprint"},
	{"within", withPackets, "it is one packet"},

	{"sequence", ofSharedOnly, ""},
	{"min_interval", ofSharedOnly, ""},
	{"max_interval", ofSharedOnly, ""},
	{"reorder", ofSharedOnly, ""},

	{"key", withKeys, ""},
	{"key_file", withKeys, ""},
	{"key_credential", withKeys, ""},
	{"require_user", withMessages, "it carries no user name"},
	{"allow_other_address", withMessages, "it carries no address and opens for its sender"},
	{"window", withMessages, "it carries no time"},
	{"port_base", withPorts, ""},
	{"protocol", withPorts, ""},

	{"encoding", ofEncryptedOnly, ""},
	{"algorithm", ofTOTPOnly, ""},
	{"max_attempts", ofTOTPOnly, ""},

	{"port", ofSPAOnly, ""},
	{"hmac_key", ofSPAOnly, ""},
	{"hmac_key_file", ofSPAOnly, ""},
	{"hmac_key_credential", ofSPAOnly, ""},
	{"hmac", ofSPAOnly, ""},
	{"cipher", ofSPAOnly, ""},
	{"allow_unauthenticated", ofSPAOnly, ""},
	{"max_timeout", ofSPAOnly, "it cannot ask for a timeout"},
}

// commonKeys are the keys that all accesses have.
var commonKeys = []string{"name", "enabled", "source", "knock", "open", "timeout", "limit", "expires", "single_use", "prefix4", "prefix6"}

// allKeys are the names of all sections and keys that a policy can have.
func allKeys() []string {
	return slices.Concat([]string{"access"}, sectionNames, sectionKeys, commonKeys, keysOfKinds(), laterAccess, laterNFTables)
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
func refuseOthers(t *table, kind Knock) {
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
