package policy

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
)

// Settings returns the settings of the policy outside of the accesses, by section and key, such
// as "[nflog] group", with their values as WriteTOML writes them.
func (p *Policy) Settings() map[string]string {
	var b bytes.Buffer
	p.writeSections(&b)
	settings := make(map[string]string)
	section := ""
	for lines := bufio.NewScanner(&b); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "[") {
			section = line
		} else if key, value, ok := strings.Cut(line, " = "); ok {
			settings[section+" "+key] = value
		}
	}
	return settings
}

// A Digest of an access tells whether another is the same, and, without the salt that it was
// made with, nothing else.
type Digest struct {
	Text string `json:"text"`           // of all settings
	Keys string `json:"keys,omitempty"` // of the keys; empty where there is none, or it was not read
}

// Digest returns the digest of an access under a salt.
func (a *Access) Digest(salt []byte) Digest {
	text := hmac.New(sha256.New, salt)
	a.write(text)
	d := Digest{Text: fmt.Sprintf("%x", text.Sum(nil))}
	keys := hmac.New(sha256.New, salt)
	if a.Key != nil {
		fmt.Fprintf(keys, "key %d:%s;", len(a.Key.Text()), a.Key.Text())
	}
	if a.HMACKey != nil {
		fmt.Fprintf(keys, "hmac_key %d:%s;", len(a.HMACKey.Text()), a.HMACKey.Text())
	}
	if a.Secret != nil {
		fmt.Fprintf(keys, "secret %s;", a.Secret.Base32())
	}
	if a.Key != nil || a.HMACKey != nil || a.Secret != nil {
		d.Keys = fmt.Sprintf("%x", keys.Sum(nil))
	}
	return d
}
