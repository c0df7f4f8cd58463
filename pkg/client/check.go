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

// misfit is a setting that is valid by itself and contradicts another.
type misfit struct {
	setting string
	err     error
}

func (m *misfit) Error() string { return m.err.Error() }

// check finds settings that contradict each other. It accepts missing ones.
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
	case s.Forward.Port != 0 && len(s.Open) > 1:
		return &misfit{"open", fmt.Errorf("%d services to open: with a target to forward to, SPA asks for one", len(s.Open))}
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
		return &misfit{"hmac_key", errors.New("hmac none and hmac_key exclude each other")}
	case !s.wantsHMAC() && s.HMACKeyFile != "":
		return &misfit{"hmac_key_file", errors.New("hmac none and hmac_key_file exclude each other")}
	}
	return nil
}

func (s *Settings) wantsHMAC() bool { return s.HMAC == nil || *s.HMAC != 0 }

// checkLength refuses sequences longer than the server takes. A short one may be
// part of a sequence that a person types; the parser of a file checks for these.
func (s *Settings) checkLength() *misfit {
	if n := len(s.Sequence); n > knock.MaxSequence {
		return &misfit{"sequence", fmt.Errorf("%d elements: want 1 to %d", n, knock.MaxSequence)}
	}
	return nil
}

// missing finds what a knock of its kind needs and does not have, keys apart.
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
