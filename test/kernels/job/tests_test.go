package job

import "testing"

const output = `=== RUN   TestGate
=== RUN   TestGate/kernel/listed
--- PASS: TestGate (0.20s)
    --- PASS: TestGate/kernel/listed (0.10s)
=== RUN   TestVRF
--- PASS: TestVRF (1.00s)
PASS
`

func TestCheckTests(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		patterns     []string
		want         string
	}{
		{"ok", output, []string{"^TestGate$", "^TestV"}, ""},
		{"bad name", output, []string{"^TestGate$", "^TestGone$"}, "no test named ^TestGone$ ran"},
		{"bad nothing ran", "testing: warning: no tests to run\nPASS\n", []string{"^TestGate$"}, "no test named ^TestGate$ ran"},
		{"bad skip", output + "--- SKIP: TestVRF (0.00s)\n", []string{"^TestGate$"}, "skipped TestVRF (0.00s)"},
		{"bad skip inside", output + "    --- SKIP: TestGate/kernel/a (0.00s)\n", nil, "skipped TestGate/kernel/a (0.00s)"},
	} {
		got := ""
		if err := CheckTests(tt.output, tt.patterns); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: error %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLast(t *testing.T) {
	jobs := []Job{{Name: "demo"}, {Name: "gate"}}
	got := Last("6.1.0", jobs, func(j Job) int { return len(j.Name) - len("dem") })
	if want := "kernels: end 6.1.0 demo=1 gate=1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
