package client

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unbracket removes the brackets of "[fd00::1]".
func unbracket(s string) string {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// isHost reports whether s, without brackets, can be an address or a host name,
// which may be one that only a file defines.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`/\,;:"'[]@#%`, r)
	})
}

// sameName compares names and addresses, whatever their written form.
func sameName(a, b string) bool {
	addrA, errA := netip.ParseAddr(unbracket(a))
	addrB, errB := netip.ParseAddr(unbracket(b))
	if errA == nil && errB == nil {
		return addrA.Unmap() == addrB.Unmap() // Plan.Dst is never IPv4-mapped
	}
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
