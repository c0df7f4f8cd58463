package plan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/pkg/knock"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// starting is a policy of which everything that it names is missing, and the files that it
// names.
func starting(t *testing.T) (p *policy.Policy, key, signatures string) {
	t.Helper()
	dir := t.TempDir()
	key, signatures = filepath.Join(dir, "key"), filepath.Join(dir, "my.fp")
	p, diags := policy.Parse("a.toml", []byte(fmt.Sprintf(`
[fingerprint]
databases = ["builtin", %q]
[[access]]
name = "linux"
sequence = ["tcp/7300", "tcp/7100", "tcp/7200"]
require_os = "linux"
open = ["tcp/21"]
[[access]]
name = "mbr"
knock = "totp"
key_file = %q
open = ["tcp/22"]
[[access]]
name = "plain"
sequence = ["udp/8300", "udp/8100", "udp/8200"]
open = ["tcp/23"]
`, signatures, key)))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p, key, signatures
}

const oneSignature = "classes = unix\n[tcp:request]\nlabel = s:unix:Linux:3.x\nsig = *:64:0:*:mss*10,4:mss,sok,ts,nop,ws:df,id+:0\n"

func void(p *plan.Plan) string {
	var names []string
	for _, v := range p.Void {
		names = append(names, v.Name)
	}
	return strings.Join(names, " ")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever is missing, everything is hidden, and verdicts are about the accesses that work.
func TestStart(t *testing.T) {
	p, key, signatures := starting(t)
	first, err := plan.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := void(first); got != "linux mbr" || len(first.Accesses) != 3 || len(first.Ruleset.Protected) != 3 {
		t.Errorf("void %q, %d accesses, protected %v", got, len(first.Accesses), first.Ruleset.Protected)
	}
	if _, err := knock.New(first.Engine); err != nil {
		t.Error(err)
	}
	if d := first.Decide(&knock.Verdict{Access: 0}); d.Access.Name != "plain" {
		t.Errorf("a knock for %q, want plain", d.Access.Name)
	}
	if reason := first.Void[0].Reason.Error(); !strings.Contains(reason, "require_os cannot be checked") || !strings.Contains(reason, signatures) {
		t.Errorf("reason %q", reason)
	}
	if again, err := first.Again(); again != nil || err != nil {
		t.Errorf("again %v, %v", again, err)
	}

	write(t, key, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	second, err := first.Again()
	if err != nil || void(second) != "linux" {
		t.Fatalf("void %q, %v", void(second), err)
	}
	if again, err := second.Again(); again != nil || err != nil {
		t.Errorf("again %v, %v", again, err)
	}

	write(t, signatures, oneSignature)
	third, err := second.Again()
	if err != nil || void(third) != "" || len(third.Engine.Accesses) != 3 {
		t.Fatalf("void %q, %v", void(third), err)
	}
	if d := third.Decide(&knock.Verdict{Access: 0}); d.Access.Name != "linux" {
		t.Errorf("a knock for %q, want linux", d.Access.Name)
	}
	if p.Accesses[1].Secret != nil {
		t.Error("the policy has changed")
	}
}

// A key that cannot be used is as good as none, and so is one that was not kept.
func TestStartWithABadKey(t *testing.T) {
	p, key, signatures := starting(t)
	write(t, signatures, oneSignature)
	write(t, key, "base64:!")
	first, err := plan.Start(p)
	if err != nil || void(first) != "mbr" {
		t.Fatalf("void %q, %v", void(first), err)
	}
	if again, err := first.Again(); again != nil || err != nil {
		t.Errorf("again %v, %v", again, err)
	}
	p.Accesses[1].Withheld = true
	write(t, key, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	if withheld, err := plan.Start(p); err != nil || void(withheld) != "mbr" {
		t.Errorf("void %q, %v", void(withheld), err)
	}
	if again, err := first.Again(); err != nil || again == nil || void(again) != "" {
		t.Errorf("again %v, %v", again, err)
	}
}

// If no access is left, all is hidden and nothing is matched.
func TestStartWithoutAnyAccess(t *testing.T) {
	p, _, _ := starting(t)
	p.Accesses = p.Accesses[:2]
	first, err := plan.Start(p)
	if err != nil || len(first.Void) != 2 || len(first.Ruleset.Protected) != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := knock.New(first.Engine); err != nil {
		t.Error(err)
	}
}
