package main

import (
	"strings"
	"testing"
	"time"

	"nftknock/pkg/control"
)

func TestTheStatusFits(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	s := control.Status{
		Problems: []control.Condition{{Name: "nflog", Since: now, Text: "NFLOG group 5 is taken by another program, so no knock is heard: " + strings.Repeat("find it and stop it ", 6)}},
		Since:    now.Add(-time.Hour), PolicySince: now.Add(-90 * time.Minute), Policy: "earlier", Grants: 25, Accesses: 3, Packets: 12345678901, Lost: 4,
		Owner: "off", Mode: "gate", Hide: "drop", Table: "nftknock", Store: "not open",
		Hidden: strings.Fields(strings.Repeat("tcp/10000-10100 ", 12)), Interfaces: []string{"eth0"}, Unguarded: []string{"lo", "eth1"},
		In: []control.Grant{
			{Src: "2001:db8:1111:2222:3333:4444:5555:6666", Open: "tcp/10000-10100", Access: strings.Repeat("long", 16), Knock: "encrypted", Remaining: 3599.5},
			{Src: "192.0.2.0", Prefix: "192.0.2.0/24", Open: "tcp/22", Access: "ssh", Knock: "by-hand", Remaining: 30},
		},
	}
	var b strings.Builder
	printStatus(&b, s, now)
	lines := strings.Split(b.String(), "\n")
	for _, line := range lines {
		if n := len([]rune(line)); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.HasPrefix(lines[0], "PROBLEM nflog, since ") {
		t.Errorf("the first line is %q, want the problem", lines[0])
	}
	for _, want := range []string{"NOT READY", "AN EARLIER ONE", "not guarded: eth1", "192.0.2.0/24", "and 23 more", "4 lost", "1h30m"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
