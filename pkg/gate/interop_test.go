//go:build interop

package gate

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// nft runs the real one inside a host.
func nft(t *testing.T, host *netns.NS, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// withoutFlags takes what nft prints for an owned table alone out of a
// listing: the flags, of which nft 1.0.6 knows neither the one nor how to
// print it, with the blank line after them, and the name of the owner.
func withoutFlags(listing string) string {
	first, rest, _ := strings.Cut(listing, "\n")
	first, _, owned := strings.Cut(first, " # progname")
	if owned {
		_, rest, _ = strings.Cut(rest, "\n\n")
	}
	return first + "\n" + rest
}

func TestNftListsWhatStringSays(t *testing.T) {
	for _, tt := range rulesets() {
		for name, mode := range map[string]OwnerMode{"owned": OwnerOn, "not owned": OwnerOff} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				host := netnstest.New(t)
				k := open(t, host, Config{Owner: mode})
				if err := k.Apply(&tt.ruleset); err != nil {
					t.Fatal(err)
				}
				got := withoutFlags(nft(t, host, "", "--stateless", "list", "table", "inet", DefaultTable))
				if diff := cmp.Diff(tt.ruleset.String(), got); diff != "" {
					t.Errorf("String (-), nft (+):\n%s", diff)
				}
			})
		}
	}
}

func TestNftReadsStringBack(t *testing.T) {
	for _, tt := range rulesets() {
		t.Run(tt.name, func(t *testing.T) {
			host := netnstest.New(t)
			nft(t, host, tt.ruleset.String(), "-f", "-")
			got := nft(t, host, "", "--stateless", "list", "table", "inet", DefaultTable)
			if diff := cmp.Diff(tt.ruleset.String(), got); diff != "" {
				t.Errorf("String (-), nft (+):\n%s", diff)
			}
		})
	}
}

// The table that nft made from the text has the sets and chains that Apply makes:
// it is changed in place and not built anew.
func TestTableMadeByNftFits(t *testing.T) {
	for _, tt := range rulesets() {
		t.Run(tt.name, func(t *testing.T) {
			host := netnstest.New(t)
			nft(t, host, tt.ruleset.String(), "-f", "-")
			k := open(t, host, Config{Owner: OwnerOff})
			table, err := k.find()
			if err != nil {
				t.Fatal(err)
			}
			fits, err := k.planUpdate(&tableChange{table: k.table.netlink(0), layout: tt.ruleset.layout()}, table)
			if err != nil || !fits {
				t.Errorf("fits: %v, %v", fits, err)
			}
		})
	}
}

func TestNftShowsCommentsOfGrants(t *testing.T) {
	host := netnstest.New(t)
	k := open(t, host, Config{Owner: OwnerOff})
	apply(t, k, &Ruleset{})
	comment := strings.Repeat("ä", 100)
	grant(t, k, Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: MinTimeout * 60, Access: "ssh", Method: comment + `"`})
	listing := nft(t, host, "", "--stateless", "list", "table", "inet", DefaultTable)
	want := `192.0.2.1 . 22 counter timeout 1m comment "ssh ` + strings.Repeat("ä", 62) + `"`
	if !strings.Contains(listing, want) {
		t.Errorf("listing has no %q:\n%s", want, listing)
	}
	nft(t, host, "flush ruleset\n"+listing, "-f", "-")
}

// A table with grants that lead to targets can be read, and loaded again.
func TestNftShowsTargetsOfGrants(t *testing.T) {
	host := netnstest.New(t)
	k := open(t, host, Config{Owner: OwnerOff})
	forwarding(t, k)
	minute := MinTimeout * 60
	for _, g := range []Grant{
		{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Masquerade: true, Timeout: minute, Access: "ssh", Method: "spa"},
		{Source: from("2001:db8::1"), Service: service("udp/53"), Forward: toTarget("[2001:db8::5]:5353"), Timeout: minute, Access: "dns"},
		{Source: from("192.0.2.1"), Service: service("tcp/40022"), Forward: toTarget("local:22"), Timeout: minute, Access: "ssh"},
	} {
		grant(t, k, g)
	}
	listing := nft(t, host, "", "--stateless", "list", "table", "inet", DefaultTable)
	for _, want := range []string{
		`192.0.2.1 . tcp . 2222 counter timeout 1m comment "ssh spa" : 10.0.0.5 . 22`,
		`2001:db8::1 . udp . 53 counter timeout 1m comment "dns" : 2001:db8::5 . 5353`,
		`192.0.2.1 . tcp . 40022 counter timeout 1m comment "ssh" : 22`,
		`192.0.2.1 . tcp . 2222 counter timeout 1m comment "ssh spa" }`,
		`192.0.2.1 . 2222 counter timeout 59s9`, // forwardSlack, in ticks of the clock
	} {
		if !strings.Contains(listing, want) {
			t.Errorf("listing has no %q:\n%s", want, listing)
		}
	}
	nft(t, host, "flush ruleset\n"+listing, "-f", "-")
}
