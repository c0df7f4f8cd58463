package totp

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestURI(t *testing.T) {
	tests := []struct {
		issuer, account string
		alg             Algorithm
		want            string
	}{
		{"nftknock", "ssh", SHA1,
			"otpauth://totp/nftknock:ssh?secret=" + rfcSHA1 + "&issuer=nftknock&algorithm=SHA1&digits=8&period=30"},
		{"ACME Co", "john.doe@example.com", SHA256,
			"otpauth://totp/ACME%20Co:john.doe%40example.com?secret=" + rfcSHA1 + "&issuer=ACME%20Co&algorithm=SHA256&digits=8&period=30"},
		{"a:b", "me@2001:db8::1", SHA1,
			"otpauth://totp/a-b:me%402001-db8--1?secret=" + rfcSHA1 + "&issuer=a-b&algorithm=SHA1&digits=8&period=30"},
	}
	for _, tt := range tests {
		if got := parse(t, rfcSHA1, tt.alg).URI(tt.issuer, tt.account); got != tt.want {
			t.Errorf("%s, %s:\n%s, want\n%s", tt.issuer, tt.account, got, tt.want)
		}
	}
}

// No text in an issuer or account adds a parameter or changes the label.
func TestURIReadsBack(t *testing.T) {
	s := parse(t, rfcSHA256, SHA256)
	for _, name := range []string{
		"plain", "two words", " ", "a+b", "a&secret=AAAA", "a=b", "50%", "%20", "a/b", "../..", "a?b#c",
		"a;b", "Zürich", "東京", "\"'<>\\", "line\nend", "\x00", "\xff", "a:b", "::",
	} {
		uri := s.URI(name, name+" 2")
		u, err := url.Parse(uri)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		seen := strings.ReplaceAll(name, ":", "-")
		if u.Scheme != "otpauth" || u.Host != "totp" || u.Fragment != "" || u.Path != "/"+seen+":"+seen+" 2" {
			t.Errorf("%q: scheme %q, host %q, path %q", name, u.Scheme, u.Host, u.Path)
		}
		want := url.Values{
			"secret": {rfcSHA256[:52]}, "issuer": {seen},
			"algorithm": {"SHA256"}, "digits": {"8"}, "period": {"30"},
		}
		if diff := cmp.Diff(want, u.Query()); diff != "" {
			t.Errorf("%q: parameters (-want +got):\n%s", name, diff)
		}
		if strings.ContainsAny(uri, " +") {
			t.Errorf("%q: a blank or plus in %q", name, uri)
		}
	}
}
