package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"nftknock/pkg/doctor"
)

func TestDoctorOutput(t *testing.T) {
	bad := doctor.Finding{Severity: doctor.Error, Code: "later-drop", Message: "it drops", Hint: "accept", Where: doctor.Where{Family: "inet", Table: "filter", Chain: "input", Handle: 7}}
	weak := doctor.Finding{Severity: doctor.Warning, Code: "clock", Message: "it is off", Hint: "run chrony"}
	host := &doctor.Host{Seen: []string{"ruleset: 1 table"}}
	for _, tt := range []struct {
		name     string
		findings []doctor.Finding
		unseen   []string
		want     string
		code     int
	}{
		{"ok", nil, nil, "looked at ruleset: 1 table\nall good\n", exitGood},
		{"ok but for what was not seen", nil, []string{"clock: needs root"}, "looked at ruleset: 1 table\ncould not look at clock: needs root\nno faults in what could be looked at\n", exitGood},
		{"ok a warning", []doctor.Finding{weak}, nil, "warning: it is off [clock]\n  hint: run chrony\nlooked at ruleset: 1 table\n0 errors, 1 warning\n", exitGood},
		{"bad", []doctor.Finding{bad, weak}, nil, "error: it drops [later-drop]\n  hint: accept\nwarning: it is off [clock]\n  hint: run chrony\nlooked at ruleset: 1 table\n1 error, 1 warning\n", exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host.Unseen = tt.unseen
			var out, objects strings.Builder
			status := func(err error) int {
				var exit exitError
				errors.As(err, &exit)
				return exit.code
			}
			if code := status(printFindings(&out, tt.findings, host)); code != tt.code || out.String() != tt.want {
				t.Errorf("exit status %d, want %d, and printed:\n%s", code, tt.code, &out)
			}
			if code := status(printFindingsJSON(&objects, tt.findings)); code != tt.code || strings.Count(objects.String(), "\n") != len(tt.findings) {
				t.Errorf("as JSON, exit status %d:\n%s", code, &objects)
			}
		})
	}
}

// The names of the fields are promised.
func TestDoctorJSON(t *testing.T) {
	var out strings.Builder
	f := doctor.Finding{Severity: doctor.Error, Code: "c", Message: "m", Hint: "h", Where: doctor.Where{Family: "inet", Table: "t", Chain: "n", Handle: 7, Rule: "drop", File: "/f", Line: 3}}
	if err := printFindingsJSON(&out, []doctor.Finding{f}); err == nil {
		t.Error("an error in the host is no error")
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	const want = `{"severity":"error","code":"c","message":"m","hint":"h","where":{"family":"inet","table":"t","chain":"n","handle":7,"rule":"drop","file":"/f","line":3}}` + "\n"
	if out.String() != want {
		t.Errorf("got %s", &out)
	}
}
