package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
)

// variable says how a variable of fwknop 2.6.10's ~/.fwknoprc is read.
type variable struct {
	set func(r *stanzaReader, value string) error // nil if it has no counterpart
	// refused: without the variable the knock would do something else.
	refused bool
	reason  string // of the error or warning
}

var variables = map[string]variable{
	"SPA_SERVER":       {set: same("address")},
	"SPA_SERVER_PORT":  {set: same("port")},
	"SPA_SERVER_PROTO": {set: setProtocol},
	"ACCESS":           {set: setAccess},
	"ALLOW_IP":         {set: setAllow},
	"SPOOF_USER":       {set: same("user")},
	"FW_TIMEOUT":       {set: setTimeout},
	"KEY":              {set: setKey},
	"KEY_BASE64":       {set: setKeyBase64},
	"HMAC_KEY":         {set: setHMACKey},
	"HMAC_KEY_BASE64":  {set: setHMACKeyBase64},
	"HMAC_DIGEST_TYPE": {set: setHMACHash},
	"DIGEST_TYPE":      {set: same("digest")},
	"ENCRYPTION_MODE":  {set: same("cipher")},
	"USE_HMAC":         {set: setUseHMAC},

	"NAT_ACCESS":       {refused: true, reason: "forward in hosts.toml, or --forward, asks for it"},
	"NAT_LOCAL":        {refused: true, reason: "forward in hosts.toml, or --forward, asks for it"},
	"NAT_PORT":         {refused: true, reason: "forward in hosts.toml, or --forward, asks for it"},
	"NAT_RAND_PORT":    {refused: true, reason: "forward in hosts.toml, or --forward, asks for it"},
	"USE_GPG":          {refused: true, reason: "keys are symmetric, GnuPG is not used"},
	"SPOOF_SOURCE_IP":  {refused: true, reason: "packets leave with this host's own address"},
	"TIME_OFFSET":      {refused: true, reason: "set this host's clock instead"},
	"KEY_FILE":         {refused: true, reason: "it holds keys for several hosts; write this host's key into a file of its own, and name that in hosts.toml"},
	"HMAC_KEY_FILE":    {refused: true, reason: "it holds keys for several hosts; write this host's key into a file of its own, and name that in hosts.toml"},
	"RESOLVE_IP_HTTPS": {refused: true, reason: resolveReason},
	"RESOLVE_IP_HTTP":  {refused: true, reason: resolveReason},

	"RAND_PORT":             {reason: "the packet goes to one port, as SPA_SERVER_PORT says"},
	"SPA_SOURCE_PORT":       {reason: "the system chooses the source port"},
	"SERVER_RESOLVE_IPV4":   {reason: "-4 does that"},
	"RESOLVE_URL":           {reason: resolveReason},
	"RESOLVE_HTTP_ONLY":     {reason: resolveReason},
	"WGET_CMD":              {reason: resolveReason},
	"HTTP_USER_AGENT":       {reason: resolveReason},
	"USE_WGET_USER_AGENT":   {reason: resolveReason},
	"USE_GPG_AGENT":         {reason: gpgReason},
	"GPG_RECIPIENT":         {reason: gpgReason},
	"GPG_SIGNER":            {reason: gpgReason},
	"GPG_HOMEDIR":           {reason: gpgReason},
	"GPG_EXE":               {reason: gpgReason},
	"GPG_SIGNING_PW":        {reason: gpgReason},
	"GPG_SIGNING_PW_BASE64": {reason: gpgReason},
	"GPG_NO_SIGNING_PW":     {reason: gpgReason},
	"NO_SAVE_ARGS":          {set: ignore}, // arguments are never saved
	"VERBOSE":               {set: ignore}, // -v does that
}

// rivals are two variables for the same value. If both are set, fwknop takes
// one and ignores the other, wherever they stand.
var rivals = map[string]string{
	"KEY": "KEY_BASE64", "KEY_BASE64": "KEY",
	"HMAC_KEY": "HMAC_KEY_BASE64", "HMAC_KEY_BASE64": "HMAC_KEY",
}

const (
	resolveReason = "no web service is asked for this host's address: -a ADDRESS, or -a source, says whom to let in"
	gpgReason     = "GnuPG is not used"
)

func ignore(*stanzaReader, string) error { return nil }

// same returns a setter for the setting that has the same form of value.
func same(name string) func(*stanzaReader, string) error {
	return func(r *stanzaReader, value string) error { return r.host.Settings.Set(name, value) }
}

func setProtocol(_ *stanzaReader, value string) error {
	if !strings.EqualFold(value, "udp") {
		return fmt.Errorf("cannot send SPA over %q: want udp", value)
	}
	return nil
}

func setAccess(r *stanzaReader, value string) error {
	r.host.Settings.Open = nil
	for field := range strings.SplitSeq(value, ",") {
		if err := r.host.Settings.Set("open", field); err != nil {
			return err
		}
	}
	return nil
}

func setAllow(r *stanzaReader, value string) error {
	if strings.EqualFold(value, "resolve") {
		return errors.New("not supported: " + resolveReason)
	}
	return r.host.Settings.Set("allow", strings.ToLower(value))
}

// setTimeout reads seconds; with 0 the server decides.
func setTimeout(r *stanzaReader, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return fmt.Errorf("bad number of seconds %q", value)
	}
	r.host.Settings.Timeout = 0
	if n == 0 {
		return nil
	}
	return r.host.Settings.Set("timeout", value+"s")
}

// setKey takes the text as it is: to fwknop "base64:..." is a passphrase like any
// other.
func setKey(r *stanzaReader, value string) error {
	// Not secret.Parse: in fwknop "base64:" in a passphrase has no special meaning.
	r.host.Settings.Key = secret.New([]byte(value))
	return nil
}

func setHMACKey(r *stanzaReader, value string) error {
	r.host.Settings.HMACKey = secret.New([]byte(value))
	return nil
}

func setKeyBase64(r *stanzaReader, value string) error {
	return r.host.Settings.Set("key", "base64:"+value)
}

func setHMACKeyBase64(r *stanzaReader, value string) error {
	return r.host.Settings.Set("hmac_key", "base64:"+value)
}

// setHMACHash reads a hash; fwknop has no "none".
func setHMACHash(r *stanzaReader, value string) error {
	h, err := spa.ParseHash(value)
	r.host.Settings.HMAC = &h
	return err
}

// setUseHMAC: with an HMAC key, fwknop uses an HMAC whatever USE_HMAC says.
func setUseHMAC(r *stanzaReader, value string) error {
	r.hmac = strings.EqualFold(value, "Y")
	return nil
}
