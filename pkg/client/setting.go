package client

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
	"nftknock/pkg/totp"
	"nftknock/pkg/username"
)

// Set reads the text of a setting. Its name is that of hosts.toml. Each call for a
// list adds one item. The name must be one of Names.
func (s *Settings) Set(name, text string) error { return settings[name].set(s, text) }

// Names returns the names of all settings, sorted.
func Names() []string { return slices.Sorted(maps.Keys(settings)) }

// Of returns the kinds of knock that a setting has an effect on. The name must
// be one of Names.
func Of(name string) []Kind {
	if kinds := settings[name].kinds; kinds != nil {
		return kinds
	}
	return Kinds
}

// setting describes one field of Settings.
type setting struct {
	form    form
	example string // a line of hosts.toml
	kinds   []Kind // nil for all
	set     func(*Settings, string) error
}

// form is the type of a setting's value in hosts.toml.
type form uint8

const (
	asText form = iota
	asNumber
	asBoolean
	asList
	asTextOrList
)

var (
	ofShared   = []Kind{Shared}
	ofPorts    = []Kind{Encrypted, TOTP}
	ofRequests = []Kind{Encrypted, SPA}
	ofKeys     = []Kind{Encrypted, SPA, TOTP}
	ofSPA      = []Kind{SPA}
)

var settings = map[string]setting{
	"knock":         {asText, `knock = "encrypted"`, nil, into(parseKind, func(s *Settings) *Kind { return &s.Kind })},
	"address":       {asText, `address = "10.3.2.1"`, nil, into(parseAddress, func(s *Settings) *string { return &s.Address })},
	"verify":        {asText, `verify = "tcp/22"`, nil, into(ParseVerify, func(s *Settings) *port.Range { return &s.Verify })},
	"delay":         {asText, `delay = "500ms"`, []Kind{Shared, Encrypted, TOTP}, pointed(parseDelay, func(s *Settings) **time.Duration { return &s.Delay })},
	"repeat":        {asNumber, `repeat = 2`, nil, into(parseRepeat, func(s *Settings) *int { return &s.Repeat })},
	"sequence":      {asList, `sequence = ["tcp/7000", "udp/8000"]`, ofShared, added(port.ParseKnock, func(s *Settings) *[]port.Range { return &s.Sequence })},
	"encoding":      {asText, `encoding = "siv"`, []Kind{Encrypted}, into(parseEncoding, func(s *Settings) *Encoding { return &s.Encoding })},
	"port_base":     {asNumber, `port_base = 48000`, ofPorts, into(parsePort, func(s *Settings) *uint16 { return &s.PortBase })},
	"rotate":        {asBoolean, `rotate = true`, ofPorts, pointed(parseBool, func(s *Settings) **bool { return &s.Rotate })},
	"allow":         {asText, `allow = "192.168.10.2"`, ofRequests, into(parseAllow, func(s *Settings) *netip.Addr { return &s.Allow })},
	"open":          {asTextOrList, `open = "tcp/22"`, ofRequests, added(parseService, func(s *Settings) *[]port.Range { return &s.Open })},
	"forward":       {asText, `forward = "10.0.0.5:22"`, ofSPA, into(port.ParseTarget, func(s *Settings) *port.Target { return &s.Forward })},
	"user":          {asText, `user = "mbr"`, ofRequests, into(parseUser, func(s *Settings) *string { return &s.User })},
	"port":          {asNumber, `port = 62201`, ofSPA, into(parsePort, func(s *Settings) *uint16 { return &s.Port })},
	"timeout":       {asText, `timeout = "60s"`, ofSPA, into(parseTimeout, func(s *Settings) *time.Duration { return &s.Timeout })},
	"hmac":          {asText, `hmac = "sha256"`, ofSPA, pointed(parseHMAC, func(s *Settings) **spa.Hash { return &s.HMAC })},
	"digest":        {asText, `digest = "sha256"`, ofSPA, into(spa.ParseHash, func(s *Settings) *spa.Hash { return &s.Digest })},
	"cipher":        {asText, `cipher = "cbc"`, ofSPA, pointed(spa.ParseCipher, func(s *Settings) **spa.Cipher { return &s.Cipher })},
	"algorithm":     {asText, `algorithm = "sha1"`, []Kind{TOTP}, pointed(totp.ParseAlgorithm, func(s *Settings) **totp.Algorithm { return &s.Algorithm })},
	"key":           {asText, `key = "base64:..."`, ofKeys, into(parseKey, func(s *Settings) **secret.Key { return &s.Key })},
	"key_file":      {asText, `key_file = "server.key"`, ofKeys, into(parsePath, func(s *Settings) *string { return &s.KeyFile })},
	"hmac_key":      {asText, `hmac_key = "base64:..."`, ofSPA, into(parseKey, func(s *Settings) **secret.Key { return &s.HMACKey })},
	"hmac_key_file": {asText, `hmac_key_file = "server.hmac"`, ofSPA, into(parsePath, func(s *Settings) *string { return &s.HMACKeyFile })},
}

// into returns a setter that parses a text into a field.
func into[T any](parse func(string) (T, error), field func(*Settings) *T) func(*Settings, string) error {
	return func(s *Settings, text string) error {
		v, err := parse(text)
		if err == nil {
			*field(s) = v
		}
		return err
	}
}

// pointed is into for a field whose zero value is valid: the field is a pointer.
func pointed[T any](parse func(string) (T, error), field func(*Settings) **T) func(*Settings, string) error {
	return into(func(text string) (*T, error) {
		v, err := parse(text)
		return &v, err
	}, field)
}

// added returns a setter that parses a text and appends it to a field.
func added[T any](parse func(string) (T, error), field func(*Settings) *[]T) func(*Settings, string) error {
	return func(s *Settings, text string) error {
		v, err := parse(text)
		if err == nil {
			*field(s) = append(*field(s), v)
		}
		return err
	}
}

func parseKind(s string) (Kind, error) { return oneOf("knock", s, Kinds) }

func parseEncoding(s string) (Encoding, error) { return oneOf("encoding", s, Encodings) }

func oneOf[T ~string](what, s string, all []T) (T, error) {
	if slices.Contains(all, T(s)) {
		return T(s), nil
	}
	return "", fmt.Errorf("bad %s %q: want %s", what, s, or(all))
}

// or joins words: "a, b or c".
func or[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

func parseAddress(s string) (string, error) {
	if !isHost(unbracket(s)) {
		return "", fmt.Errorf("bad address %q: want an IP address or a host name", s)
	}
	return s, nil
}

// ParseVerify reads the port to verify, "tcp/22". With UDP, an open port need not
// answer.
func ParseVerify(s string) (port.Range, error) {
	e, err := port.ParseKnock(s)
	if err != nil || e.Protocol != packet.TCP {
		return port.Range{}, fmt.Errorf("cannot verify %q: want a TCP port, such as tcp/22", s)
	}
	return e, nil
}

func parseService(s string) (port.Range, error) {
	e, err := port.ParseKnock(s)
	if err != nil {
		return port.Range{}, fmt.Errorf("bad service to open %q: want tcp/PORT, udp/PORT or icmp", s)
	}
	return e, nil
}

// parseAllow reads an address, or "source" for the source address of the packets.
func parseAllow(s string) (netip.Addr, error) {
	if s == "source" {
		return Source, nil
	}
	addr, err := netip.ParseAddr(unbracket(s))
	switch {
	case err != nil || addr.Zone() != "" || addr.IsMulticast():
		return netip.Addr{}, fmt.Errorf(`bad address to allow %q: want an IP address, or "source" for that of the packets`, s)
	case addr.Unmap().IsUnspecified():
		return Source, nil
	}
	return addr.Unmap(), nil
}

func parseUser(s string) (string, error) {
	// Every kind of knock takes less, and says so or cuts the name.
	const longest = 64
	if s == "" || len(s) > longest || strings.Contains(s, " ") || !username.Prints(s) {
		return "", fmt.Errorf("bad user %q: want 1 to %d bytes of UTF-8 that print, and no blanks", s, longest)
	}
	return s, nil
}

func parseDelay(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf(`bad delay %q: want a number with its unit, such as "500ms" or "3s"`, s)
	}
	return d, nil
}

func parseTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d%time.Second != 0 {
		return 0, fmt.Errorf(`bad timeout %q: want whole seconds with their unit, such as "60s" or "5m"`, s)
	}
	return d, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bad port %q: want 1 to 65535", s)
	}
	return uint16(n), nil
}

func parseRepeat(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxRepeat {
		return 0, fmt.Errorf("bad repeat %q: want 1 to %d", s, MaxRepeat)
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", s)
	}
	return b, nil
}

// parseHMAC reads a hash function, or "none".
func parseHMAC(s string) (spa.Hash, error) {
	if s == "none" {
		return 0, nil
	}
	h, err := spa.ParseHash(s)
	if err != nil {
		return 0, fmt.Errorf("%w, or none", err)
	}
	return h, nil
}

func parseKey(s string) (*secret.Key, error) { return secret.Parse([]byte(s)) }

func parsePath(s string) (string, error) {
	if s == "" {
		return "", errors.New("empty path: want that of a file that holds the key")
	}
	return s, nil
}
