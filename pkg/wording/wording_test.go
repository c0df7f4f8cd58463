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

func TestTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_999_999, time.FixedZone("", 3600))
	if got, want := Time(at), "2026-01-02T02:04:05.006Z"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
