package wording

import (
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 accesses", 1: "1 access", 2: "2 accesses", -1: "-1 accesses"} {
		if got := Count(n, "access", "accesses"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                              "0s",
		time.Millisecond:               "1ms",
		30 * time.Second:               "30s",
		time.Minute:                    "1m",
		10 * time.Minute:               "10m",
		time.Hour:                      "1h",
		time.Hour + time.Second:        "1h0m1s",
		time.Hour + 30*time.Minute:     "1h30m",
		10 * time.Hour:                 "10h",
		1500 * time.Millisecond:        "1.5s",
		-20 * time.Hour:                "-20h",
		90*time.Second + 5*time.Minute: "6m30s",
	} {
		got := Duration(d)
		if got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
		if back, err := time.ParseDuration(got); err != nil || back != d {
			t.Errorf("%q reads as %v, %v", got, back, err)
		}
	}
}
