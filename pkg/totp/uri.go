package totp

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// URI returns the secret in the form that authenticators import, the Key URI format of
// Google Authenticator's wiki. It contains the secret in clear.
//
// Issuer and account are shown by the authenticator; neither may be empty. The format
// allows no colon in them, even escaped, since one separates them. Colons are replaced by
// dashes, as in the ipv6-literal.net names of IPv6 addresses.
func (s *Secret) URI(issuer, account string) string {
	issuer, account = escape(issuer), escape(account)
	return fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=%s&digits=%d&period=%d",
		issuer, account, s.Base32(), issuer,
		strings.ToUpper(s.reveal().algorithm.String()), Digits, Period/time.Second)
}

// escape escapes a text for the label and for the parameters of a URI.
func escape(s string) string {
	s = url.QueryEscape(strings.ReplaceAll(s, ":", "-"))
	// QueryEscape writes a blank as "+", which authenticators do not decode.
	return strings.ReplaceAll(s, "+", "%20")
}
