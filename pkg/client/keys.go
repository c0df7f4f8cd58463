package client

import (
	"bytes"
	"errors"
	"fmt"

	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

// The environment variables that may hold keys.
const (
	KeyVariable     = "NFTKNOCK_KEY"
	HMACKeyVariable = "NFTKNOCK_HMAC_KEY"
)

// Keyring is the source of keys that the settings do not name.
type Keyring struct {
	// Getenv is os.Getenv.
	Getenv func(string) string
	// Prompt asks the person for a line; what is typed is shown if echo is set.
	// It returns ErrNoTerminal where standard input is no terminal.
	Prompt func(question string, echo bool) ([]byte, error)
	// Code is the one-time code on the command line, or nil.
	Code *uint32
}

// ErrNoTerminal means that Prompt cannot ask.
var ErrNoTerminal = errors.New("standard input is no terminal")

// Secrets are the keys of a knock. Those that its kind does not use are nil.
type Secrets struct {
	Key, HMACKey *secret.Key
	// Code is a one-time code, with which Key is not needed; nil if there is none.
	Code *uint32
}

// Wipe overwrites the keys.
func (s *Secrets) Wipe() {
	s.Key.Wipe()
	s.HMACKey.Wipe()
}

// Secrets finds the keys of the knock: as its settings say, in the environment, or
// by asking, in this order. The caller must wipe them.
func (p *Plan) Secrets(ring Keyring) (*Secrets, error) {
	var s Secrets
	if p.Kind == Shared {
		return &s, nil
	}
	if p.Kind == TOTP && ring.Code != nil {
		s.Code = ring.Code
		return &s, nil
	}
	var err error
	if s.Key, err = ring.find(p.keySource()); err != nil {
		return nil, err
	}
	switch {
	case p.Kind == TOTP && s.Key == nil:
		s.Code, err = ring.askCode(p.Name)
	case p.Kind == SPA && p.wantsHMAC():
		s.HMACKey, err = ring.find(p.hmacSource())
	}
	if err != nil {
		s.Wipe()
		return nil, err
	}
	return &s, nil
}

// keySource lists where one key may come from, in the order of the fields.
type keySource struct {
	key      *secret.Key
	file     string
	variable string
	question string // what to ask the person; "" to ask nothing
	want     string // names the key in errors
	hint     string
}

func (p *Plan) keySource() keySource {
	s := keySource{key: p.Key, file: p.KeyFile, variable: KeyVariable, want: "key for " + p.Name,
		hint: "name its file (--key-file FILE, or key_file in hosts.toml), put it into the environment (" + KeyVariable +
			"), or run nftknock on a terminal, where it asks"}
	if p.Kind != TOTP {
		s.question = "Key for " + p.Name + ": "
	}
	return s
}

func (p *Plan) hmacSource() keySource {
	return keySource{key: p.HMACKey, file: p.HMACKeyFile, variable: HMACKeyVariable, want: "HMAC key for " + p.Name,
		question: "HMAC key for " + p.Name + ": ",
		hint: "name its file (--hmac-key-file FILE, or hmac_key_file in hosts.toml), put it into the environment (" + HMACKeyVariable +
			"), or run nftknock on a terminal, where it asks; a server that wants no HMAC gets --hmac none"}
}

// find returns the key, or nil if no source has it and there is no question.
func (ring Keyring) find(from keySource) (*secret.Key, error) {
	switch {
	case from.key != nil:
		return from.key, nil
	case from.file != "":
		key, err := secret.ReadFile(from.file)
		if err != nil {
			return nil, &Error{Err: err, Config: true}
		}
		return key, nil
	}
	if value := ring.Getenv(from.variable); value != "" {
		key, err := secret.Parse([]byte(value))
		if err != nil {
			return nil, configError("", "%s: %w", from.variable, err)
		}
		return key, nil
	}
	if from.question == "" {
		return nil, nil
	}
	return ring.askKey(from)
}

func (ring Keyring) askKey(from keySource) (*secret.Key, error) {
	line, err := ring.Prompt(from.question, false)
	defer clear(line)
	switch {
	case errors.Is(err, ErrNoTerminal):
		return nil, configError(from.hint, "no %s", from.want)
	case err != nil:
		return nil, fmt.Errorf("no %s: %w", from.want, err)
	}
	key, err := secret.Parse(line)
	if err != nil {
		return nil, &Error{Err: err, Config: true}
	}
	return key, nil
}

func (ring Keyring) askCode(host string) (*uint32, error) {
	line, err := ring.Prompt("One-time code for "+host+": ", true)
	defer clear(line)
	switch {
	case errors.Is(err, ErrNoTerminal):
		return nil, configError("give the code (--code 12345678), or the secret it is computed from: --key-file FILE, "+
			"key_file in hosts.toml, or "+KeyVariable, "no one-time code for %s", host)
	case err != nil:
		return nil, fmt.Errorf("no one-time code for %s: %w", host, err)
	}
	return ParseCode(string(bytes.TrimRight(line, "\r\n")))
}

// ParseCode reads a one-time code as users type it. The error is an *Error.
func ParseCode(s string) (*uint32, error) {
	code, err := totp.ParseCode(s)
	if err != nil {
		return nil, &Error{Err: err, Config: true}
	}
	return &code, nil
}
