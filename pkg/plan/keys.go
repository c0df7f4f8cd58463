package plan

import (
	"errors"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
	"nftknock/pkg/seal"
	"nftknock/pkg/spa"
)

// errNoKey is the error of an access whose key is missing, because the policy was read
// without its keys, or from a text without files.
var errNoKey = errors.New("the key of this access was not read")

// engineAccess returns the engine's configuration of an access.
func (p *Plan) engineAccess(a *policy.Access) (knock.Access, error) {
	confidence := p0f.Family
	if a.OSConfidence == policy.ConfidenceLow {
		confidence = p0f.Low
	}
	k, err := withKeys(a)
	if s, ok := k.(knock.SPA); ok && len(a.MayForward) > 0 {
		s.Targets, s.Dial = a.MayForward, p.dial(a)
		k = s
	}
	return knock.Access{
		Name:         a.Name,
		Source:       a.Source.Contains,
		RequireOS:    a.RequireOS,
		OSConfidence: confidence,
		Expires:      a.Expires,
		Knock:        k,
	}, err
}

// withKeys returns the knock of an access with its keys. The policy keeps them apart, so
// that it can be printed.
func withKeys(a *policy.Access) (knock.Kind, error) {
	switch k := a.EngineKnock().(type) {
	case knock.SIV:
		return withSIVKey(k, a)
	case knock.Ordered:
		return withOrderedKey(k, a)
	case knock.TOTP:
		if a.Secret == nil {
			return nil, errNoKey
		}
		k.Secret = a.Secret
		return k, nil
	case knock.SPA:
		return withSPAKey(k, a)
	default:
		return k, nil // a shared sequence has no key
	}
}

func withSIVKey(k knock.SIV, a *policy.Access) (_ knock.Kind, err error) {
	if a.Key == nil {
		return nil, errNoKey
	}
	// Passphrases are stretched with Argon2id, on purpose slowly; random bytes are not.
	newSIV := seal.NewSIV
	if a.Key.Passphrase() {
		newSIV = seal.NewSIVPassphrase
	}
	k.Key, err = newSIV(a.Key.Bytes())
	return k, err
}

func withOrderedKey(k knock.Ordered, a *policy.Access) (_ knock.Kind, err error) {
	switch {
	case a.Key == nil:
		return nil, errNoKey
	case a.Encoding == policy.EncodingArticle:
		k.Key, err = seal.NewArticle(a.Key.Bytes())
	default:
		k.Key, err = seal.NewFwknop19(a.Key.Bytes())
	}
	return k, err
}

func withSPAKey(k knock.SPA, a *policy.Access) (_ knock.Kind, err error) {
	// Without an HMAC anyone can change an intercepted packet, since fwknop's encryption
	// does not authenticate. The policy must ask for that.
	if a.Key == nil || a.HMACKey == nil && !a.AllowUnauthenticated {
		return nil, errNoKey
	}
	config := spa.Config{Key: a.Key.Bytes(), Cipher: a.Cipher}
	if a.HMACKey != nil {
		config.HMACKey, config.HMAC = a.HMACKey.Bytes(), a.HMAC
	}
	k.Key, err = spa.NewKey(config)
	return k, err
}
