package totp

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// URI gives the secret as authenticators import it, in the Key URI format of
// Google Authenticator's wiki. It holds the secret in clear.
//
// Issuer and account are what the phone shows; neither may be empty. A colon
// stands between them and the format allows no other, even escaped; each in an
// issuer or account becomes a dash, as in the ipv6-literal.net names of IPv6
// addresses.
func (s *Secret) URI(issuer, account string) string {
	issuer, account = escape(issuer), escape(account)
	return fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=%s&digits=%d&period=%d",
		issuer, account, s.Base32(), issuer,
		strings.ToUpper(s.reveal().algorithm.String()), Digits, Period/time.Second)
}

// escape makes a text fit for the label and the parameters of a URI alike.
func escape(s string) string {
	s = url.QueryEscape(strings.ReplaceAll(s, ":", "-"))
	// Authenticators show a "+" as it is.
	return strings.ReplaceAll(s, "+", "%20")
}
