package policy

import "fmt"

// A keySlot is a key that an access has. One of three keys of the policy says
// where it is: name, name_file or name_credential.
type keySlot struct {
	name             string
	file, credential *string
	// set takes the written form of the key. Its errors do not show it.
	set func(text []byte) error
	// isSet reports whether the access has the key.
	isSet func() bool
}

// keySlots are the keys that an access of its kind has.
func (a *Access) keySlots() []keySlot {
	key := keySlot{"key", &a.KeyFile, &a.KeyCredential, a.setKey, func() bool { return a.Key != nil }}
	switch a.Kind {
	case KindEncrypted:
		return []keySlot{key}
	case KindTOTP:
		key.set, key.isSet = a.setSecret, func() bool { return a.Secret != nil }
		return []keySlot{key}
	case KindSPA:
		return []keySlot{key, {"hmac_key", &a.HMACKeyFile, &a.HMACKeyCredential, a.setHMACKey, func() bool { return a.HMACKey != nil }}}
	}
	return nil
}

func (s keySlot) fileKey() string       { return s.name + "_file" }
func (s keySlot) credentialKey() string { return s.name + "_credential" }

// places returns those keys of the policy that are present and say where the key is.
func (s keySlot) places(t *table) (found []string) {
	for _, key := range []string{s.name, s.fileKey(), s.credentialKey()} {
		if t.has(key) {
			found = append(found, key)
		}
	}
	return found
}

// place is the first of places, and in a sound access the only one; "" if there is
// none.
func (s keySlot) place(t *table) string {
	if found := s.places(t); len(found) > 0 {
		return found[0]
	}
	return ""
}

// readKey reads the first key of an access, without which there is no knock.
func readKey(t *table, a *Access) {
	s := a.keySlots()[0]
	if s.read(t) || s.withheld(t, a) {
		return
	}
	// An authenticator app wants base32, all others the bytes of a key.
	command := "nftknockd keygen"
	if a.Kind == KindTOTP {
		command += " --totp"
	}
	t.fail(t.at(), "this access has no key", fmt.Sprintf("want key_file with the path of a file that holds one, or key_credential: %q makes a key", command))
}

// readHMACKey reads the second key of SPA, and checks what depends on it.
func readHMACKey(t *table, a *Access) {
	s := a.keySlots()[1]
	switch {
	case s.read(t), s.withheld(t, a):
	// Encrypted packets without an HMAC can be changed bit by bit (AES-CBC).
	case !a.AllowUnauthenticated:
		t.fail(t.at(), "this access has no HMAC key, and packets without HMAC can be altered on their way",
			`want hmac_key_file or hmac_key_credential ("nftknockd keygen" makes a key), or allow_unauthenticated = true`)
	case t.has("hmac"):
		t.fail(t.keyAt("hmac"), "hmac is of no use without an HMAC key", "want hmac_key_file, or remove hmac")
	}
}

// read reads where the key is, and the key itself if it stands in the policy. It
// reports whether there is one, good or bad.
func (s keySlot) read(t *table) bool {
	found := s.places(t)
	switch len(found) {
	case 0:
		return false
	case 1:
	default:
		// Which one the administrator means cannot be told, and the wrong one may be old.
		t.fail(t.keyAt(found[1]), fmt.Sprintf("%s is there, and so is %s", found[1], found[0]), "want one of them")
		return true
	}
	place := found[0]
	var inline string
	switch place {
	// A key in the policy is read at once; others wait for openKeys.
	case s.name:
		if t.text(place, &inline) {
			s.take(t, place, []byte(inline))
		}
	case s.fileKey():
		// NB: what stands here by mistake may be the secret itself.
		if t.text(place, s.file) && !isPath(*s.file) {
			t.fail(t.valueAt(place), place+" is not an absolute path", "want the path of a file that holds the key")
		}
	default:
		if t.text(place, s.credential) && !isCredential(*s.credential) {
			t.fail(t.valueAt(place), place+" is not the name of a credential", `want letters, digits, "-", "_" and "."`)
		}
	}
	return true
}

// take returns the written form of the key to set, wipes it, and reports whether the key
// is good.
func (s keySlot) take(t *table, place string, text []byte) bool {
	// Wiped in any case. The strings of the decoder stay until they are collected:
	// a key in the policy itself gets a warning, for that among other things.
	defer clear(text)
	if err := s.set(text); err != nil {
		t.refuse(t.valueAt(place), err)
		return false
	}
	return true
}
