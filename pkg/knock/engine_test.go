package knock_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

var (
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	alice = netip.MustParseAddr("192.0.2.10")
	bob   = netip.MustParseAddr("2001:db8::b0b")
)

func sequence(t testing.TB, s string) []port.Range {
	t.Helper()
	var seq []port.Range
	for _, field := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		el, err := port.ParseKnock(field)
		if err != nil {
			t.Fatal(err)
		}
		seq = append(seq, el)
	}
	return seq
}

// access is one with the defaults of a policy.
func access(t testing.TB, seq string) knock.Access {
	return knock.Access{Name: "test", Knock: knock.Shared{
		Sequence: sequence(t, seq),
		Within:   time.Minute,
		Reorder:  100 * time.Millisecond,
	}}
}

// shared is the shared sequence of an access.
func shared(a knock.Access) knock.Shared { return a.Knock.(knock.Shared) }

// alter changes the shared sequence of an access.
func alter(a *knock.Access, change func(*knock.Shared)) {
	s := shared(*a)
	change(&s)
	a.Knock = s
}

func engine(t testing.TB, c knock.Config) *knock.Engine {
	t.Helper()
	if c.MaxSources == 0 {
		c.MaxSources = 1024
	}
	e, err := knock.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// touch is the packet that an element stands for.
func touch(src netip.Addr, e port.Range) *packet.Packet {
	p := &packet.Packet{Version: 4, Src: src, Protocol: e.Protocol, DstPort: e.First, TTL: 64}
	if src.Is6() {
		p.Version = 6
	}
	switch e.Protocol {
	case packet.TCP:
		p.TCP.Flags = packet.SYN
	case packet.ICMP:
		p.ICMP.Type = 8
		if src.Is6() {
			p.Protocol, p.ICMP.Type = packet.ICMPv6, 128
		}
	}
	return p
}

// play sends a trace, "0 tcp/1000, 1s udp/2000, ...", from a source and tells
// what the engine said: "granted" or the reason, joined by ", ".
func play(t testing.TB, e *knock.Engine, src netip.Addr, trace string) string {
	t.Helper()
	var said []string
	for field := range strings.SplitSeq(trace, ",") {
		when, what, _ := strings.Cut(strings.TrimSpace(field), " ")
		d, err := time.ParseDuration(when)
		if err != nil {
			t.Fatal(err)
		}
		el, err := port.ParseKnock(what)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range e.Handle(epoch.Add(d), touch(src, el)) {
			said = append(said, say(v))
		}
	}
	return strings.Join(said, ", ")
}

func say(v knock.Verdict) string {
	switch {
	case v.Granted() && v.Again:
		return "again"
	case v.Granted():
		return "granted"
	}
	return fmt.Sprintf("%d: %s", v.Step, v.Reason)
}

func TestOnlyKnocksCount(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{access(t, "tcp/1000, icmp")}})
	for name, p := range map[string]*packet.Packet{
		"SYN and ACK": {Protocol: packet.TCP, DstPort: 1000, TCP: packet.TCPHeader{Flags: packet.SYN | packet.ACK}},
		"RST":         {Protocol: packet.TCP, DstPort: 1000, TCP: packet.TCPHeader{Flags: packet.RST}},
		"echo reply":  {Protocol: packet.ICMP},
		"datagram":    {Protocol: packet.UDP, DstPort: 1000},
	} {
		p.Src = alice
		e.Handle(epoch, p)
		if n := e.Stats().Sources; n != 0 {
			t.Errorf("%s: %d half-done knocks, want none", name, n)
		}
	}
}

func TestSourcesDoNotDisturbEachOther(t *testing.T) {
	e := engine(t, knock.Config{
		Accesses:  []knock.Access{access(t, "tcp/1000, tcp/2000, tcp/3000")},
		Tripwires: []port.Range{port.Single(packet.TCP, 666)},
	})
	stranger := netip.MustParseAddr("192.0.2.11")
	for _, c := range []struct {
		src         netip.Addr
		trace, want string
	}{
		{alice, "0s tcp/1000", ""},
		{bob, "0s tcp/1000", ""},
		{stranger, "1s tcp/1000, 1s tcp/666, 1s tcp/3000, 1s tcp/2000", "1: sent a packet to a tripwire port"},
		{alice, "2s tcp/2000", ""},
		{bob, "2s tcp/2000, 3s tcp/3000", "granted"},
		{stranger, "3s tcp/3000", "2: sequence out of order"},
		{alice, "4s tcp/3000", "granted"},
	} {
		if got := play(t, e, c.src, c.trace); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.src, c.trace, got, c.want)
		}
	}
}

func TestOnlySourcesOfTheAccess(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000")
	a.Source = func(addr netip.Addr) bool { return addr == bob }
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	if got := play(t, e, alice, "0s tcp/1000, 1s tcp/2000"); got != "" {
		t.Errorf("stranger: %q, want nothing", got)
	}
	if got := play(t, e, bob, "0s tcp/1000, 1s tcp/2000"); got != "granted" {
		t.Errorf("friend: %q, want granted", got)
	}
}

func TestAdoptKeepsHalfDoneKnocksOfUnchangedAccesses(t *testing.T) {
	kept, changed := access(t, "tcp/1000, tcp/2000"), access(t, "udp/1000, udp/2000")
	kept.Name, changed.Name = "kept", "changed"
	old := engine(t, knock.Config{Accesses: []knock.Access{kept, changed}})
	play(t, old, alice, "0s tcp/1000, 0s udp/1000")

	alter(&changed, func(s *knock.Shared) { s.Sequence = sequence(t, "udp/1000, udp/3000") })
	e := engine(t, knock.Config{Accesses: []knock.Access{changed, kept}})
	e.Adopt(old)
	if got := play(t, e, alice, "1s udp/3000"); got != "" {
		t.Errorf("changed access: %q, want nothing", got)
	}
	if got := play(t, e, alice, "1s tcp/2000"); got != "granted" {
		t.Errorf("unchanged access: %q, want granted", got)
	}
}

func TestAdoptIntoASmallerTableKeepsTheYoungest(t *testing.T) {
	a := access(t, "tcp/1000, tcp/2000")
	old := engine(t, knock.Config{Accesses: []knock.Access{a}})
	play(t, old, alice, "0s tcp/1000")
	play(t, old, bob, "1s tcp/1000")
	e := engine(t, knock.Config{Accesses: []knock.Access{a}, MaxSources: 1})
	e.Adopt(old)
	if got := play(t, e, bob, "2s tcp/2000"); got != "granted" {
		t.Errorf("the younger: %q, want granted", got)
	}
	if got := play(t, e, alice, "3s tcp/2000"); got != "" {
		t.Errorf("the older: %q, want nothing", got)
	}
}

func TestFlushEndsHalfDoneKnocks(t *testing.T) {
	e := engine(t, knock.Config{Accesses: []knock.Access{access(t, "tcp/1000, tcp/2000, tcp/3000")}})
	play(t, e, alice, "0s tcp/1000, 1s tcp/2000")
	verdicts := e.Flush(epoch.Add(2 * time.Second))
	if len(verdicts) != 1 || say(verdicts[0]) != "2: sequence not completed" || verdicts[0].Source != alice {
		t.Errorf("%v, want alice's knock not completed after 2", verdicts)
	}
	if n := e.Stats().Sources; n != 0 {
		t.Errorf("%d half-done knocks left", n)
	}
}

func TestBadConfigs(t *testing.T) {
	long := access(t, strings.Repeat("icmp,", 33))
	timeless := access(t, "icmp, icmp")
	alter(&timeless, func(s *knock.Shared) { s.Within = 0 })
	noPrints := access(t, "tcp/1, icmp")
	noPrints.RequireOS = regexp.MustCompile("linux")
	for name, c := range map[string]knock.Config{
		"no room":         {},
		"no sequence":     {MaxSources: 1, Accesses: []knock.Access{{Name: "x", Knock: knock.Shared{Within: 1}}}},
		"long sequence":   {MaxSources: 1, Accesses: []knock.Access{long}},
		"no time":         {MaxSources: 1, Accesses: []knock.Access{timeless}},
		"no fingerprints": {MaxSources: 1, Accesses: []knock.Access{noPrints}},
	} {
		if _, err := knock.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAdoptLeavesFingerprintsOfAnotherDatabase(t *testing.T) {
	a := access(t, "tcp/1000, icmp")
	a.RequireOS = regexp.MustCompile("(?i)linux")
	other, err := p0f.Parse("other", strings.NewReader("classes = linux\n[tcp:request]\nlabel = s:linux:Linux:own\nsys = @linux\nsig = *:64:0:*:mss*7,0:mss:df:0\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		before, after *regexp.Regexp
		db            *p0f.Database
		want          string
	}{
		"same":                   {a.RequireOS, a.RequireOS, p0f.Builtin(), "granted"},
		"other":                  {a.RequireOS, a.RequireOS, other, ""},
		"other, required now":    {nil, a.RequireOS, other, ""},
		"other, required before": {a.RequireOS, nil, other, ""},
		"other, never required":  {nil, nil, other, "granted"},
	} {
		before, after := a, a
		before.RequireOS, after.RequireOS = c.before, c.after
		// An access beside it shares the port and does require a system.
		beside := a
		beside.Name, beside.Knock = "beside", access(t, "tcp/1000, udp/9").Knock
		old := engine(t, knock.Config{Accesses: []knock.Access{beside, before}, Fingerprints: p0f.Builtin()})
		old.Handle(epoch, synOf(alice, 1000, 64, linuxOptions))
		e := engine(t, knock.Config{Accesses: []knock.Access{after}, Fingerprints: c.db})
		e.Adopt(old)
		icmp, _ := port.ParseKnock("icmp")
		verdicts := e.Handle(epoch.Add(time.Second), touch(alice, icmp))
		got := ""
		for _, v := range verdicts {
			got = say(v)
			if v.OS.Confidence != p0f.None && int(v.OS.Label) >= len(c.db.Labels()) {
				t.Errorf("%s database: label %d of %d", name, v.OS.Label, len(c.db.Labels()))
			}
		}
		if got != c.want {
			t.Errorf("%s database: %q, want %q", name, got, c.want)
		}
	}
}

// A requirement of a system is about systems: a proxy never satisfies one, and a stack
// only one with its name.
func TestOnlySystemsSatisfyRequireOS(t *testing.T) {
	const refused = "2: operating system does not match"
	for _, test := range []struct {
		class, required string
		want            string
	}{
		{"linux", ".", "granted"},
		{"linux", "sender", "granted"},
		{"proxy", ".", refused},
		{"proxy", "sender", refused},
		{"stack", ".", refused},
		{"stack", "on linux", refused},
		{"stack", "windows|sender", "granted"},
	} {
		db, err := p0f.Parse("own", strings.NewReader("classes = linux,proxy,stack\n[tcp:request]\nlabel = s:"+test.class+
			":Sender:on Linux\nsig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df?,id+?,id-?:0\n"))
		if err != nil {
			t.Fatal(err)
		}
		a := access(t, "tcp/1000, icmp")
		a.RequireOS = regexp.MustCompile("(?i)" + test.required)
		e := engine(t, knock.Config{Accesses: []knock.Access{a}, Fingerprints: db})
		e.Handle(epoch, synOf(alice, 1000, 64, linuxOptions))
		icmp, _ := port.ParseKnock("icmp")
		got := ""
		for _, v := range e.Handle(epoch.Add(time.Second), touch(alice, icmp)) {
			got = say(v)
		}
		if got != test.want {
			t.Errorf("class %s, %q required: %q, want %q", test.class, test.required, got, test.want)
		}
	}
}

// A verdict has the time of the packet that decided, and an access ends by it:
// not by what the clock on the wall showed when the engine began and has been
// counted up since.
func TestExpiresByTheTimeOfThePacket(t *testing.T) {
	a := access(t, "udp/1000, udp/2000")
	a.Expires = epoch.Add(time.Hour)
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	e.Handle(time.Now(), touch(bob, shared(a).Sequence[0])) // with a monotonic reading
	e.Handle(epoch.Add(time.Hour), touch(alice, shared(a).Sequence[0]))
	at := epoch.Add(time.Hour + time.Second)
	verdicts := e.Handle(at, touch(alice, shared(a).Sequence[1]))
	if len(verdicts) != 1 || verdicts[0].Reason != knock.Expired || !verdicts[0].Time.Equal(at) {
		t.Errorf("%+v, want expired at %v", verdicts, at)
	}
}
