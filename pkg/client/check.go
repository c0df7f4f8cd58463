package client

import (
	"errors"
	"fmt"
	"slices"

	"nftknock/pkg/knock"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
)

// misfit is an error about a setting that is valid by itself but contradicts another.
type misfit struct {
	setting string
	err     error
}

func (m *misfit) Error() string { return m.err.Error() }

// check returns the first contradiction between settings. It ignores settings that are
// not set; see missing.
func (s *Settings) check() *misfit {
	for _, of := range []func(*Settings) *misfit{
		(*Settings).checkBase, (*Settings).checkAllow, (*Settings).checkOpen, (*Settings).checkKeys, (*Settings).checkLength,
	} {
		if m := of(s); m != nil {
			return m
		}
	}
	return nil
}

func (s *Settings) checkBase() *misfit {
	limit, of := totp.MaxBase, "a one-time code"
	if s.Kind == Encrypted {
		limit, of = seal.MaxLaneBase, "encoding siv"
		if s.ordered() {
			limit, of = seal.MaxBase, "encoding "+string(s.Encoding)
		}
	}
	if int(s.PortBase) > limit {
		return &misfit{"port_base", fmt.Errorf("bad port base %d: want 1 to %d, so that all ports of %s have room", s.PortBase, limit, of)}
	}
	return nil
}

// ordered reports whether the packets of an encrypted knock must stay in order.
func (s *Settings) ordered() bool { return s.Encoding != "" && s.Encoding != SIV }

func (s *Settings) checkAllow() *misfit {
	if s.Kind == Encrypted && s.ordered() && s.Allow.Is6() {
		return &misfit{"allow", fmt.Errorf("bad address to allow %s: encoding %s holds IPv4 alone, siv holds both", s.Allow, s.Encoding)}
	}
	return nil
}

func (s *Settings) checkOpen() *misfit {
	switch {
	case s.Kind == Encrypted && len(s.Open) > 1:
		return &misfit{"open", fmt.Errorf("%d services to open: an encrypted knock asks for one, SPA for several", len(s.Open))}
	case s.Kind == SPA && slices.Contains(s.Open, port.Echo):
		return &misfit{"open", errors.New("SPA cannot ask for icmp: want tcp/PORT or udp/PORT")}
	}
	return nil
}

func (s *Settings) checkKeys() *misfit {
	switch {
	case s.Key != nil && s.KeyFile != "":
		return &misfit{"key_file", errors.New("key and key_file exclude each other")}
	case s.HMACKey != nil && s.HMACKeyFile != "":
		return &misfit{"hmac_key_file", errors.New("hmac_key and hmac_key_file exclude each other")}
	case !s.wantsHMAC() && s.HMACKey != nil:
		return &misfit{"hmac_key", errors.New("hmac none has no use for a hmac_key")}
	case !s.wantsHMAC() && s.HMACKeyFile != "":
		return &misfit{"hmac_key_file", errors.New("hmac none has no use for a hmac_key_file")}
	}
	return nil
}

func (s *Settings) wantsHMAC() bool { return s.HMAC == nil || *s.HMAC != 0 }

// checkLength limits shared sequences to the length that the server accepts. A sequence
// on the command line may be part of one, so it has no lower limit; parsers of files
// check that a sequence is complete.
func (s *Settings) checkLength() *misfit {
	if n := len(s.Sequence); n > knock.MaxSequence {
		return &misfit{"sequence", fmt.Errorf("%d elements: want 1 to %d", n, knock.MaxSequence)}
	}
	return nil
}

// missing returns an error if a setting is missing that the kind of knock requires. It
// does not check keys.
func (s *Settings) missing() error {
	switch s.Kind {
	case Shared:
		if len(s.Sequence) == 0 {
			return configError("nftknock HOST tcp/7000 udp/8000", "a shared knock without a sequence")
		}
	case Encrypted, SPA:
		if len(s.Open) == 0 {
			return configError(`say which service: -p 22, --open tcp/22, or open = "tcp/22" in hosts.toml`,
				"the knock does not say what to open")
		}
	case TOTP:
	}
	return nil
}
