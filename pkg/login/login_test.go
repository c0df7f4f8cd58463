package login

import "testing"

func TestWithoutDomain(t *testing.T) {
	for name, want := range map[string]string{"mbr": "mbr", `HOME\mbr`: "mbr", "": ""} {
		if got := withoutDomain(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
