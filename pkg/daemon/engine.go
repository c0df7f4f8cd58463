package daemon

import (
	"errors"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
	"nftknock/pkg/seal"
	"nftknock/pkg/spa"
)

// errNoKey: the policy was read without its keys, or from text alone.
var errNoKey = errors.New("its key was not read")

// engineAccess is an access as the engine wants it.
func engineAccess(a *policy.Access) (knock.Access, error) {
	confidence := p0f.Family
	if a.OSConfidence == policy.ConfidenceLow {
		confidence = p0f.Low
	}
	k, err := engineKnock(a)
	return knock.Access{
		Name:         a.Name,
		Source:       a.Source.Contains,
		RequireOS:    a.RequireOS,
		OSConfidence: confidence,
		Expires:      a.Expires,
		Knock:        k,
	}, err
}

func engineKnock(a *policy.Access) (knock.Knock, error) {
	switch a.Knock {
	case policy.KnockEncrypted:
		if a.Key == nil {
			return nil, errNoKey
		}
		return encrypted(a)
	case policy.KnockTOTP:
		if a.Secret == nil {
			return nil, errNoKey
		}
		return knock.OneTime{
			Secret: a.Secret, Base: a.PortBase, Protocols: protocols(a), Within: a.Within, MaxAttempts: a.MaxAttempts,
		}, nil
	case policy.KnockSPA:
		return singlePacket(a)
	}
	return knock.Shared{
		Sequence:    a.Sequence,
		MinInterval: a.MinInterval,
		MaxInterval: a.MaxInterval,
		Within:      a.Within,
		Reorder:     a.Reorder,
	}, nil
}

// encrypted is the knock of an access with one of the encodings.
func encrypted(a *policy.Access) (knock.Knock, error) {
	ordered := knock.Ordered{Base: a.PortBase, Protocols: protocols(a), Within: a.Within, Terms: terms(a)}
	var err error
	switch a.Encoding {
	case policy.EncodingArticle:
		ordered.Key, err = seal.NewArticle(a.Key.Bytes())
		return ordered, err
	case policy.EncodingFwknop19:
		ordered.Key, err = seal.NewFwknop19(a.Key.Bytes())
		return ordered, err
	}
	newSIV := seal.NewSIV
	if a.Key.Passphrase() {
		newSIV = seal.NewSIVPassphrase
	}
	key, err := newSIV(a.Key.Bytes())
	return knock.Sealed{Key: key, Base: a.PortBase, Protocols: protocols(a), Within: a.Within, Terms: terms(a)}, err
}

func singlePacket(a *policy.Access) (knock.Knock, error) {
	if a.Key == nil || a.HMACKey == nil && !a.AllowUnauthenticated {
		return nil, errNoKey
	}
	config := spa.Config{Key: a.Key.Bytes(), Cipher: a.Cipher}
	if a.HMACKey != nil {
		config.HMACKey, config.HMAC = a.HMACKey.Bytes(), a.HMAC
	}
	key, err := spa.NewKey(config)
	return knock.SPA{Key: key, Port: a.Port, Terms: terms(a)}, err
}

func protocols(a *policy.Access) knock.Protocols {
	return knock.Protocols{TCP: a.Protocol != policy.ProtocolUDP, UDP: a.Protocol != policy.ProtocolTCP}
}

// terms are what the sender of a token may ask for.
func terms(a *policy.Access) knock.Terms {
	return knock.Terms{
		Open:       func(e knock.Element) bool { return e.Port != 0 && covers(a.Open, e) },
		Users:      a.RequireUser,
		AllowOther: a.AllowOtherAddress,
		Window:     a.Window,
	}
}
