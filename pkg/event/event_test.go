package event

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

var (
	client  = netip.MustParseAddr("192.168.10.2")
	third   = netip.MustParseAddr("192.0.2.7")
	ssh     = port.Single(packet.TCP, 22)
	web     = port.Range{Protocol: packet.TCP, First: 8000, Last: 8010}
	errFull = errors.New("the set is full")

	shared    = Knock{Source: client, Access: "ssh", Kind: KindShared}
	encrypted = Knock{Source: client, Access: "mbr", Kind: KindEncrypted}
	oneTime   = Knock{Source: client, Access: "phone", Kind: KindTOTP}
	spa       = Knock{Source: client, Access: "spa", Kind: KindSPA}
	unknown   = Knock{Source: client}

	plainGrant = Grant{Knock: shared, Allow: client, To: netip.PrefixFrom(client, 32), Open: ssh, Timeout: 30 * time.Second}
	fullGrant  = Grant{Knock: spa, Allow: third, To: netip.MustParsePrefix("192.0.2.0/24"), Open: web, Timeout: time.Hour,
		OS: "Linux 4.19 or newer", User: "mbr"}
	forwarded = Grant{Knock: shared, Allow: client, To: netip.PrefixFrom(client, 32), Open: ssh, Timeout: 30 * time.Second,
		Forward: port.Target{Addr: netip.MustParseAddr("10.0.0.5"), Port: 2222}}
	running = RunningGrant{Source: netip.PrefixFrom(client, 32), Access: "ssh", Open: ssh}
	wide    = RunningGrant{Source: netip.MustParsePrefix("2001:db8::/64"), Access: "web", Open: web}
)

// lines is every event with its line, in each of its forms.
var lines = []struct {
	event Event
	want  string
}{
	{GuardBegun{Until: time.Unix(1767225600, 0)}, "WARN the policy is on trial until 2026-01-01T00:00:00Z; without a knock that is granted or \"nftknockd confirm\" the daemon then goes back to the policy before it [event=guard_begun until=2026-01-01T00:00:00Z]"},
	{GuardBegun{Until: time.Unix(1767225600, 0), First: true}, "WARN the policy is on trial until 2026-01-01T00:00:00Z; without a knock that is granted or \"nftknockd confirm\" the daemon then goes back to hiding nothing [event=guard_begun until=2026-01-01T00:00:00Z]"},
	{GuardConfirmed{Source: client, Access: "ssh"}, "INFO the policy on trial is confirmed by a knock of 192.168.10.2 [event=guard_confirmed src=192.168.10.2 access=ssh]"},
	{GuardConfirmed{}, "INFO the policy on trial is confirmed by command [event=guard_confirmed]"},
	{GuardUndone{}, "WARN the policy on trial is undone: nobody confirmed it in time; the policy before it is in force again, the one in the files is not; correct the files and reload [event=guard_undone reason=nobody confirmed it in time]"},
	{GuardUndone{Why: "the group is taken", First: true}, "WARN the policy on trial is undone: the group is taken; the table is removed, nothing is hidden, and the daemon ends; to try again, run \"nftknockd setup\" [event=guard_undone reason=the group is taken]"},
	{GuardUndoFailed{errFull}, "ERROR the policy on trial is still in force, although nobody confirmed it, because it cannot be undone: the set is full; retrying every second [event=guard_undo_failed reason=the set is full]"},
	{GuardNoteFailed{errFull}, "ERROR the confirmed policy is in force, but a daemon that starts will not run it: the set is full; correct that and reload [event=guard_note_failed reason=the set is full]"},

	{KnockMatched{shared}, "INFO port knock access sequence matched for 192.168.10.2 [event=matched src=192.168.10.2 access=ssh knock=shared]"},
	{KnockMatched{encrypted}, "INFO decrypting knock sequence for 192.168.10.2 [event=matched src=192.168.10.2 access=mbr knock=encrypted]"},
	{KnockMatched{oneTime}, "INFO one-time code matched for 192.168.10.2 [event=matched src=192.168.10.2 access=phone knock=totp]"},
	{KnockMatched{spa}, "INFO decrypting SPA packet for 192.168.10.2 [event=matched src=192.168.10.2 access=spa knock=spa]"},
	{OSGuessed{shared, "Linux 4.19 or newer", "linux"}, "INFO OS guess: Linux 4.19 or newer matched for 192.168.10.2 " +
		"[event=os src=192.168.10.2 access=ssh os=Linux 4.19 or newer os_required=linux]"},
	{UserMatched{encrypted, "mbr"}, "INFO username mbr match [event=user src=192.168.10.2 access=mbr user=mbr]"},

	{Granted{plainGrant}, "INFO granted 192.168.10.2 access to tcp/22 for 30s " +
		"[event=granted src=192.168.10.2 access=ssh knock=shared open=tcp/22 timeout=30s]"},
	{Granted{fullGrant}, "INFO granted 192.0.2.0/24 access to tcp/8000-8010 for 1h " +
		"[event=granted src=192.0.2.7 access=spa knock=spa open=tcp/8000-8010 timeout=1h0m0s by=192.168.10.2 os=Linux 4.19 or newer user=mbr]"},
	{Granted{forwarded}, "INFO granted 192.168.10.2 access to tcp/22 (forwarded to 10.0.0.5:2222) for 30s " +
		"[event=granted src=192.168.10.2 access=ssh knock=shared open=tcp/22 timeout=30s forward=10.0.0.5:2222]"},
	{GrantFailed{forwarded, errFull}, "ERROR cannot grant 192.168.10.2 access to tcp/22 (forwarded to 10.0.0.5:2222): the set is full; the knock opened nothing; " +
		"repair this, then knock again [event=grant_failed src=192.168.10.2 access=ssh knock=shared open=tcp/22 timeout=30s forward=10.0.0.5:2222 reason=the set is full]"},
	{GrantFailed{plainGrant, errFull}, "ERROR cannot grant 192.168.10.2 access to tcp/22: the set is full; the knock opened nothing; " +
		"repair this, then knock again [event=grant_failed src=192.168.10.2 access=ssh knock=shared open=tcp/22 timeout=30s reason=the set is full]"},
	{GrantFailed{fullGrant, errFull}, "ERROR cannot grant 192.0.2.0/24 access to tcp/8000-8010: the set is full; the knock opened nothing; " +
		"repair this, then knock again [event=grant_failed src=192.0.2.7 access=spa knock=spa open=tcp/8000-8010 timeout=1h0m0s by=192.168.10.2 " +
		"os=Linux 4.19 or newer user=mbr reason=the set is full]"},
	{Unrecorded{encrypted, errFull}, "ERROR cannot record the knock of 192.168.10.2, so it opens nothing: the set is full " +
		"[event=unrecorded src=192.168.10.2 access=mbr knock=encrypted reason=the set is full]"},
	{Unrecorded{unknown, errFull}, "ERROR cannot record the knock of 192.168.10.2, so it opens nothing: the set is full " +
		"[event=unrecorded src=192.168.10.2 reason=the set is full]"},

	{Refused{Knock: unknown, Code: CodeNoKey, Reason: "no key matches", Step: 7}, "INFO knock refused for 192.168.10.2: no key matches " +
		"[event=refused src=192.168.10.2 reason=no key matches code=no_key step=7]"},
	{Refused{Knock: shared, Code: CodeOutOfOrder, Reason: "sequence out of order", Step: 1},
		"DEBUG port knock access sequence refused for 192.168.10.2: sequence out of order " +
			"[event=refused src=192.168.10.2 access=ssh knock=shared reason=sequence out of order code=out_of_order step=1]"},
	{Refused{Knock: shared, Code: CodeTooSlow, Reason: "packets too far apart", Step: 2, OSRequired: "linux"},
		"INFO port knock access sequence refused for 192.168.10.2: packets too far apart " +
			"[event=refused src=192.168.10.2 access=ssh knock=shared reason=packets too far apart code=too_slow step=2 os= os_required=linux]"},
	{Refused{Knock: shared, Code: CodeWrongOS, Reason: "operating system does not match", Step: 3, OS: "Windows 10", OSRequired: "linux"},
		"INFO OS guess: Windows 10 not accepted for 192.168.10.2, required: linux " +
			"[event=refused src=192.168.10.2 access=ssh knock=shared reason=operating system does not match code=wrong_os step=3 os=Windows 10 os_required=linux]"},
	{Refused{Knock: shared, Code: CodeWrongOS, Reason: "operating system does not match", Step: 3, OSRequired: "linux"},
		"INFO OS guess: unknown not accepted for 192.168.10.2, required: linux " +
			"[event=refused src=192.168.10.2 access=ssh knock=shared reason=operating system does not match code=wrong_os step=3 os= os_required=linux]"},
	{Refused{Knock: encrypted, Code: CodeTooOld, Reason: "too old", Step: 16, Authenticated: true, User: "mbr", Clock: -90 * time.Second},
		"INFO encrypted knock sequence refused for 192.168.10.2: too old " +
			"[event=refused src=192.168.10.2 access=mbr knock=encrypted reason=too old code=too_old step=16 user=mbr clock_difference_s=-90]"},
	{Refused{Knock: oneTime, Code: CodeAlreadyUsed, Reason: "already used", Step: 3},
		"INFO one-time code refused for 192.168.10.2: already used [event=refused src=192.168.10.2 access=phone knock=totp reason=already used code=already_used step=3]"},
	{Refused{Knock: spa, Code: CodeNotOpen, Reason: "asks for a port", Step: 1},
		"INFO SPA packet refused for 192.168.10.2: asks for a port [event=refused src=192.168.10.2 access=spa knock=spa reason=asks for a port code=not_open step=1]"},

	{Ended{running, 30 * time.Second, true}, "INFO access of 192.168.10.2 to tcp/22 ended, 30s timeout exceeded " +
		"[event=ended src=192.168.10.2 access=ssh open=tcp/22 timeout=30s]"},
	{Ended{wide, 90 * time.Minute, false}, "INFO access of 2001:db8::/64 to tcp/8000-8010 ended, 1h30m timeout exceeded " +
		"[event=ended src=2001:db8::/64 access=web open=tcp/8000-8010 timeout=1h30m0s]"},
	{GrantedByHand{running, 30 * time.Second, 0, 4711}, "INFO granted 192.168.10.2 access to tcp/22 for 30s by hand, as user 0 asked " +
		"[event=granted_by_hand src=192.168.10.2 access=ssh open=tcp/22 timeout=30s uid=0 pid=4711]"},
	{GrantedByHand{running, 30 * time.Second, -1, -1}, "INFO granted 192.168.10.2 access to tcp/22 for 30s by hand " +
		"[event=granted_by_hand src=192.168.10.2 access=ssh open=tcp/22 timeout=30s]"},
	{OldTableRemoved{"door"}, "INFO table inet door of the policy before is removed, and the grants in it have ended [event=old_table_removed]"},
	{OldTableStays{"door", errors.New("it is owned")}, "WARN table inet door of the policy before stays, and no knock opens what it hides: it is owned; to remove it: nft delete table inet door [event=old_table_stays reason=it is owned]"},
	{NoLongerHidden{"tcp/8080 is no longer hidden"}, "WARN tcp/8080 is no longer hidden [event=no_longer_hidden]"},
	{EndedEarly{running, "revoked"}, "INFO access of 192.168.10.2 to tcp/22 ended: revoked " +
		"[event=ended src=192.168.10.2 access=ssh open=tcp/22 reason=revoked]"},
	{Shortened{running, 5 * time.Minute, `access "ssh" allows no longer timeout`}, `INFO access of 192.168.10.2 to tcp/22 shortened to 5m: access "ssh" allows no longer timeout ` +
		`[event=shortened src=192.168.10.2 access=ssh open=tcp/22 reason=access "ssh" allows no longer timeout]`},
	{Narrowed{wide, []port.Range{port.Single(packet.TCP, 8000), port.Single(packet.TCP, 8001)}, `access "web" no longer opens all of it`},
		`INFO access of 2001:db8::/64 to tcp/8000-8010 narrowed to tcp/8000,tcp/8001: access "web" no longer opens all of it ` +
			`[event=narrowed src=2001:db8::/64 access=web open=tcp/8000-8010 reason=access "web" no longer opens all of it]`},
	{EndingsOmitted{200, ""}, "INFO 200 more grants ended, shortened or narrowed, because the policy changed [event=ended omitted=200]"},
	{EndingsOmitted{1, "revoked"}, "INFO 1 more grant ended: revoked [event=ended omitted=1 reason=revoked]"},
	{Resumed{running, 8*time.Second + 400*time.Millisecond}, "INFO access of 192.168.10.2 to tcp/22 continues for 8s " +
		"[event=resumed src=192.168.10.2 access=ssh open=tcp/22]"},
	{ResumedOmitted{1}, "INFO 1 more grant continues [event=resumed omitted=1]"},
	{ResumedOmitted{2}, "INFO 2 more grants continue [event=resumed omitted=2]"},
	{Cut{netip.PrefixFrom(client, 32), ssh, 1}, "INFO 1 connection of 192.168.10.2 to tcp/22 cut [event=cut src=192.168.10.2 open=tcp/22 connections=1]"},
	{Cut{wide.Source, web, 2}, "INFO 2 connections of 2001:db8::/64 to tcp/8000-8010 cut [event=cut src=2001:db8::/64 open=tcp/8000-8010 connections=2]"},

	{Repaired{"nftknock"}, "WARN table inet nftknock was changed by another process and is restored, running grants included [event=repaired]"},
	{RepairFailed{"nftknock", Hides{}, errFull}, "ERROR services may be open to everyone: cannot restore table inet nftknock, which another process changed: " +
		"the set is full; retrying every second [event=repair_failed reason=the set is full]"},
	{RepairFailed{"nftknock", Hides{Elsewhere: true}, errFull}, "ERROR knocks may not be received: cannot restore table inet nftknock, " +
		"which another process changed: the set is full; retrying every second [event=repair_failed reason=the set is full]"},
	{SetsUnusable{errFull}, "ERROR knocks are refused: the set is full; retrying every second [event=sets_unusable reason=the set is full]"},
	{SetsUsable{}, "INFO the firewall's sets take grants again, running ones included [event=sets]"},
	{NarrowFailed{errFull}, "ERROR cannot end grants that the policy no longer allows: the set is full; their sources still have access; retrying every second " +
		"[event=narrow_failed reason=the set is full]"},
	{InterfaceProblem{"eth9", "interface \"eth9\" does not exist", false}, `WARN interface "eth9" does not exist [event=interfaces interface=eth9]`},
	{InterfaceProblem{"wg0", "interface \"wg0\" is gone", true}, `INFO interface "wg0" is gone [event=interfaces interface=wg0]`},
	{InterfacesUnlisted{errFull, false}, "WARN cannot list interfaces, so services are hidden on all interfaces but lo: the set is full; restart the service to retry " +
		"[event=interfaces reason=the set is full]"},
	{InterfacesUnlisted{errFull, true}, "WARN services are hidden on all interfaces but lo until the interfaces can be listed: the set is full [event=interfaces reason=the set is full]"},
	{InterfacesFailed{errFull}, "ERROR cannot update the table for the host's interfaces, which changed: the set is full; interfaces with new names are guarded, " +
		"whether the policy lists them or not; retrying every second [event=interfaces_failed reason=the set is full]"},

	{StoreUnavailable{errFull}, "ERROR replay store unavailable: refusing all keyed knocks and accesses with a limit: the set is full " +
		"[event=store_unavailable reason=the set is full]"},
	{StoreRecovered{}, "INFO the replay store works again [event=store]"},
	{StoreRestored{Path: "/var/lib/nftknock/spent.db"}, `WARN the replay store "/var/lib/nftknock/spent.db" was deleted while in use, and is written again with all that was spent; ` +
		"to begin with an empty one, stop the daemon first [event=store_restored]"},
	{PruneFailed{errFull}, "ERROR cannot prune the replay store: the set is full; it grows, and may refuse all keyed knocks: " +
		"check the disk of [state] dir [event=prune_failed reason=the set is full]"},
	{StoreCloseFailed{errFull}, "WARN cannot close the replay store: the set is full; knocks that were honoured are recorded all the same " +
		"[event=store_close_failed reason=the set is full]"},
	{RefusedUnrecorded{spa, errFull}, "ERROR cannot record the refused knock of 192.168.10.2: the set is full; it is refused until the daemon ends, " +
		"but whoever saw it can use it after a restart, if the policy allows it then " +
		"[event=refused_unrecorded src=192.168.10.2 access=spa knock=spa reason=the set is full]"},
	{DiskSilent{time.Second, 3}, "ERROR the disk did not respond within 1s: dropping 3 knocks not recorded yet; none opens anything now, " +
		"but whoever saw one can use it after a restart, if the policy allows it then [event=disk_silent knocks=3]"},
	{DiskSilent{time.Second, 0}, "WARN the disk did not respond within 1s: the replay store is not closed; no knock waits, " +
		"and those that were honoured are recorded [event=disk_silent knocks=0]"},

	{Ready{Watch{"nftknock", 5, 5, 1}}, "INFO ready: table inet nftknock, NFLOG group 5, 1 access [event=ready accesses=1]"},
	{Ready{Watch{"nftknock", 5, 8, 0}}, "INFO ready: table inet nftknock, NFLOG groups 5 to 8, 0 accesses [event=ready accesses=0]"},
	{Reloaded{Watch{"nftknock", 5, 5, 2}}, "INFO reloaded: table inet nftknock, NFLOG group 5, 2 accesses [event=reloaded accesses=2]"},
	{ReloadFailed{errFull}, "ERROR reload failed, the old policy remains in force: the set is full [event=reload reason=the set is full]"},
	{Stopped{Hides{Elsewhere: true}}, `INFO stopped; running grants end at their time; "nftknockd uninstall" removes the table [event=stopped]`},
	{Stopped{}, `INFO stopped; services stay hidden, running grants end at their time; "nftknockd uninstall" removes the table [event=stopped]`},
	{PolicyWarning{"a.toml:7:2: weak; make it strong", Place{"a.toml", 7, 2}}, "WARN a.toml:7:2: weak; make it strong [event=policy file=a.toml line=7 column=2]"},
	{PolicyWarningsOmitted{50}, "WARN and 50 more warnings: nftknockd check lists them [event=policy omitted=50]"},
	{ControlFailed{errFull}, "ERROR the control socket does not work: the set is full; knocks are honoured as before, but commands such as revoke " +
		"do not reach the daemon; it is tried again every few seconds [event=control_failed reason=the set is full]"},
	{ControlRecovered{}, "INFO the control socket works again [event=control]"},
	{MetricsFailed{errFull}, "ERROR the metrics cannot be served: the set is full; knocks are honoured as before; it is tried again every few seconds [event=metrics_failed reason=the set is full]"},
	{MetricsRecovered{}, "INFO the metrics are served again [event=metrics]"},
	{LastPolicy{errFull, "/state/last-policy.toml", time.Unix(0, 0)}, "ERROR running the last policy that worked, of 1970-01-01T00:00:00Z, " +
		"since the one in the files cannot be used: the set is full; correct the files, then run \"systemctl reload nftknockd\" " +
		"[event=last_policy reason=the set is full since=1970-01-01T00:00:00Z file=/state/last-policy.toml]"},
	{PolicyNotKept{errFull}, "ERROR the set is full; if the policy cannot be loaded at the next start, an older one is run, or none; " +
		"it is tried again every minute [event=policy_not_kept reason=the set is full]"},
	{PolicyKept{}, "INFO the policy in force is kept as the last one that worked [event=policy_kept]"},
	{AccessVoid{"ssh", Hides{}, errFull}, "ERROR no knock opens access \"ssh\", whose services stay hidden: the set is full; other accesses work; " +
		"it is tried again every 10s [event=void access=ssh reason=the set is full]"},
	{AccessVoid{"ssh", Hides{Elsewhere: true}, errFull}, "ERROR no knock opens access \"ssh\": the set is full; other accesses work; " +
		"it is tried again every 10s [event=void access=ssh reason=the set is full]"},
	{AccessesVoidOmitted{2}, "ERROR and no knock opens 2 accesses more: nftknockd check lists the reasons [event=void omitted=2]"},
	{AccessRestored{"ssh"}, "INFO access \"ssh\" can be used again [event=restored access=ssh]"},
	{NFLogUnavailable{5, Hides{}, errFull}, "ERROR services stay hidden, and knocks of NFLOG group 5 cannot be received: the set is full; " +
		"it is tried again every few seconds [event=nflog_unavailable reason=the set is full group=5]"},
	{NFLogUnavailable{5, Hides{Elsewhere: true}, errFull}, "ERROR knocks of NFLOG group 5 cannot be received: the set is full; " +
		"it is tried again every few seconds [event=nflog_unavailable reason=the set is full group=5]"},
	{NFLogRecovered{5}, "INFO knocks of NFLOG group 5 are received again [event=nflog group=5]"},
	{NFLogCloseFailed{5, errFull}, "WARN cannot close NFLOG group 5: the set is full; the kernel closes it when the daemon has ended " +
		"[event=nflog_close_failed reason=the set is full group=5]"},

	{Lost{1}, "WARN 1 packet lost: they arrived faster than the daemon read them; a knock among them had no effect and must be sent again; " +
		"if this continues without a flood, raise [nflog] workers [event=lost packets=1]"},
	{Lost{70}, "WARN 70 packets lost: they arrived faster than the daemon read them; a knock among them had no effect and must be sent again; " +
		"if this continues without a flood, raise [nflog] workers [event=lost packets=70]"},
	{Overload{}, "WARN CPU budget exhausted: some knocks were not checked against every key; a valid one among them opened nothing and must be sent again [event=overload]"},
	{Omitted{1234, refusals}, "INFO 1234 lines about refused knocks left out, because there were too many [event=omitted omitted=1234]"},
	{Omitted{1, strays}, "DEBUG 1 line about refused single packets left out, because there were too many [event=omitted omitted=1]"},
	{LogLost{7, nil}, "ERROR 7 log lines were lost because the reader of the log was too slow [event=log_lost omitted=7]"},
	{LogLost{1, errFull}, "ERROR 1 log line was lost: the set is full [event=log_lost omitted=1]"},
}

func written(l Line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s [event=%s", l.Level, l.Text, l.Name)
	for _, f := range l.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Key, f.Value)
	}
	return b.String() + "]"
}

func TestLines(t *testing.T) {
	for _, l := range lines {
		if diff := cmp.Diff(l.want, written(l.event.Line())); diff != "" {
			t.Errorf("%T (-want +got):\n%s", l.event, diff)
		}
	}
}

// Every type with a method Line is in the table above, and so is tested and
// documented.
func TestEveryEventHasALine(t *testing.T) {
	tested := make(map[string]bool)
	for _, l := range lines {
		tested[reflect.TypeOf(l.event).Name()] = true
	}
	declared := make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Line" {
				declared[f.Recv.List[0].Type.(*ast.Ident).Name] = true
			}
		}
	}
	if diff := cmp.Diff(declared, tested); diff != "" || len(declared) == 0 {
		t.Errorf("events (-declared +tested):\n%s", diff)
	}
}

// docs/knocks.md says of every code what it means, and of no other.
func TestCodesAreDocumented(t *testing.T) {
	source, err := os.ReadFile("code.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/knocks.md")
	if err != nil {
		t.Fatal(err)
	}
	var declared, told []string
	for _, m := range regexp.MustCompile(`Code += "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, m[1])
	}
	_, table, _ := strings.Cut(string(page), "\n| reason | code | what it means |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(strings.Split(row, " | ")[1], -1) {
			told = append(told, m[1])
		}
	}
	slices.Sort(declared)
	slices.Sort(told)
	if diff := cmp.Diff(declared, told); diff != "" || len(told) == 0 {
		t.Errorf("codes (-code.go +docs/knocks.md):\n%s", diff)
	}
	var listed []string
	for _, c := range Codes() {
		listed = append(listed, string(c))
	}
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); diff != "" {
		t.Errorf("codes (-code.go +Codes()):\n%s", diff)
	}
}

// documented is a row of the table of events.
type documented struct{ Levels, Fields []string }

// docs/commands.md names every event, the levels it can have and the fields that
// stand beside it.
func TestEventsAreDocumented(t *testing.T) {
	want := make(map[string]map[string]bool)
	levels := make(map[string]map[string]bool)
	for _, l := range lines {
		line := l.event.Line()
		if want[line.Name] == nil {
			want[line.Name], levels[line.Name] = make(map[string]bool), make(map[string]bool)
		}
		levels[line.Name][strings.ToLower(line.Level.String())] = true
		for _, f := range line.Fields {
			want[line.Name][f.Key] = true
		}
		if _, ok := l.event.(limited); ok {
			want[line.Name]["omitted"] = true
		}
	}
	code := make(map[string]documented)
	for name := range want {
		code[name] = documented{slices.Sorted(maps.Keys(levels[name])), slices.Sorted(maps.Keys(want[name]))}
	}
	if diff := cmp.Diff(code, documentedEvents(t)); diff != "" {
		t.Errorf("events (-code +docs/commands.md):\n%s", diff)
	}
}

func documentedEvents(t *testing.T) map[string]documented {
	t.Helper()
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Events\n")
	section, _, _ = strings.Cut(section, "\n## ")
	events := make(map[string]documented)
	for row := range strings.Lines(section) {
		cells := strings.Split(row, " | ")
		name, ok := strings.CutPrefix(cells[0], "| `")
		if !ok || len(cells) != 4 {
			continue
		}
		levels, fields := strings.Split(cells[1], ", "), strings.Fields(strings.Trim(cells[3], "`| \n"))
		slices.Sort(levels)
		slices.Sort(fields)
		if len(fields) == 0 {
			fields = nil
		}
		events[strings.Trim(name, "`")] = documented{levels, fields}
	}
	return events
}

// A name cannot be taken for more of the sentence than itself.
func TestNamesWithBlanksAreQuoted(t *testing.T) {
	for user, want := range map[string]string{
		"mbr": "username mbr match", "müller": "username müller match",
		"mbr match, root": `username "mbr match, root" match`, `a" b`: `username "a\" b" match`,
	} {
		if got := (UserMatched{User: user}).Line().Text; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
