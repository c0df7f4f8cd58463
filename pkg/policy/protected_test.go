package policy

import (
	"fmt"
	"strings"
	"testing"
)

// Services may lie among the many ports of encoding "siv", up to a bound.
func TestServicesAmongLanesAreBounded(t *testing.T) {
	for services, want := range map[int]string{
		16: "",
		17: "tcp/50032 lies among the knock ports of access \"siv\" (48000 to 60799), as 16 other services do, and each of them needs 64 rules, one per worker; the limit is 1024 such rules: want another port_base there",
	} {
		text := "[nflog]\nworkers = 64\n[[access]]\nname = \"siv\"\nknock = \"encrypted\"\nkey_file = \"/x\"\nopen = ["
		for n := range services {
			text += fmt.Sprintf("\"tcp/%d\", ", 50000+2*n)
		}
		_, diags := Parse("x", []byte(text+"]\n"))
		got := ""
		for _, d := range diags {
			if d.Severity == SeverityError {
				got += d.String()
			}
		}
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%d services: %q, want %q", services, got, want)
		}
	}
}
