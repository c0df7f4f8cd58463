package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/nflog"
	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
)

const ssh = `[[access]]
name = "ssh"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/22"]
timeout = "30s"
`

// datagram is an IPv4 UDP packet from 192.0.2.host.
func datagram(host byte, port uint16) []byte {
	return []byte{
		0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, host, 203, 0, 113, 1,
		0x9c, 0x40, byte(port >> 8), byte(port), 0, 8, 0, 0,
	}
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, diags := policy.Parse("test.toml", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func plan(t testing.TB, text string) *daemon.Plan {
	t.Helper()
	p, err := daemon.NewPlan(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// buffer is a log that one goroutine writes and another reads.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await polls until the buffer holds text after the given offset.
func (b *buffer) await(t testing.TB, text string) {
	t.Helper()
	for range 2000 {
		if strings.Contains(b.String(), text) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no %q in\n%s", text, b)
}

// brokenGate is a Fake whose Apply can be made to fail.
type brokenGate struct {
	*gate.Fake
	mu     sync.Mutex
	broken error
	closed bool
}

func (g *brokenGate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = err
}

func (g *brokenGate) Apply(r *gate.Ruleset) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken != nil {
		return g.broken
	}
	return g.Fake.Apply(r)
}

func (g *brokenGate) Close() error {
	g.closed = true
	return g.Fake.Close()
}

// rig is a daemon on fakes.
type rig struct {
	log, states buffer
	source      *nflog.Fake
	gate        *brokenGate
	reload      chan struct{}
	next        struct {
		sync.Mutex
		policy *policy.Policy
		err    error
	}
	stop func() error
}

func start(t *testing.T, text string) *rig {
	t.Helper()
	fake, err := gate.NewFake(gate.Config{Table: "nftknock"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{source: nflog.NewFake(5), gate: &brokenGate{Fake: fake}, reload: make(chan struct{})}
	p := plan(t, text)
	log, level := daemon.NewLogger(&r.log, p.Policy.Log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- daemon.Run(ctx, daemon.Config{
			Plan: p, Log: log, Level: level, Reload: r.reload,
			Load: func() (*policy.Policy, error) {
				r.next.Lock()
				defer r.next.Unlock()
				return r.next.policy, r.next.err
			},
			OpenSource: func(nflog.Config) (nflog.Source, error) { return r.source, nil },
			OpenGate:   func(gate.Config) (gate.Gate, error) { return r.gate, nil },
			Notify:     func(s string) { fmt.Fprintln(&r.states, s) },
		})
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = r.stop() })
	r.log.await(t, "ready: ")
	return r
}

func (r *rig) knock(host byte, ports ...uint16) {
	for _, port := range ports {
		r.source.Log(nflog.Record{Group: 5, Time: time.Now(), Payload: datagram(host, port)})
	}
}

func (r *rig) reloads(p *policy.Policy, err error) {
	r.next.Lock()
	r.next.policy, r.next.err = p, err
	r.next.Unlock()
	r.reload <- struct{}{}
}

func TestAKnockIsGrantedAndLogged(t *testing.T) {
	for format, want := range map[string][]string{
		"text": {
			"port knock access sequence matched for 192.0.2.10 [event=matched src=192.0.2.10 access=ssh knock=shared]\n",
			"granted 192.0.2.10 access to tcp/22 for 30s [event=granted src=192.0.2.10 access=ssh knock=shared open=tcp/22 timeout=30s]\n",
		},
		"json": {
			`"msg":"port knock access sequence matched for 192.0.2.10","event":"matched","src":"192.0.2.10"`,
			`"msg":"granted 192.0.2.10 access to tcp/22 for 30s","event":"granted"`,
		},
	} {
		t.Run(format, func(t *testing.T) {
			r := start(t, "[log]\nformat = \""+format+"\"\n"+ssh)
			r.knock(10, 7300, 7100, 7200)
			for _, line := range want {
				r.log.await(t, line)
			}
			grants, err := r.gate.Grants()
			if err != nil || len(grants) != 1 || grants[0].Source != netip.MustParseAddr("192.0.2.10") || grants[0].Timeout != 30*time.Second {
				t.Errorf("grants %+v, %v", grants, err)
			}
			if err := r.stop(); err != nil {
				t.Errorf("stopped with %v", err)
			}
			for _, state := range []string{"READY=1", "STOPPING=1"} {
				r.states.await(t, state)
			}
		})
	}
}

func TestRefusalsAreLoggedNotTooOften(t *testing.T) {
	r := start(t, ssh)
	for host := range byte(100) {
		r.knock(host, 7300, 7100, 7101) // 7101: a tripwire beside a knock port
	}
	r.log.await(t, "port knock access sequence refused for 192.0.2.0: touched a port outside the sequence")
	r.knock(200, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.200 ")
	if n := strings.Count(r.log.String(), "refused for"); n < 20 || n > 40 {
		t.Errorf("%d refusals logged of 100, want the first twenty and few more", n)
	}
}

func TestReloadThatFailsKeepsTheOldPolicy(t *testing.T) {
	r := start(t, ssh)
	r.knock(10, 7300)
	r.reloads(nil, errors.New("line 3 is wrong"))
	r.log.await(t, "error: reload failed, the old policy stays: line 3 is wrong")
	r.gate.fail(errors.New("the kernel will not"))
	r.reloads(parse(t, strings.Replace(ssh, "7200", "9000", 1)), nil)
	r.log.await(t, "the old policy stays: the kernel will not")
	r.gate.fail(nil)
	for key, change := range map[string]string{
		"table":  "[nftables]\ntable = \"other\"\n",
		"owner":  "[nftables]\nowner = \"off\"\n",
		"format": "[log]\nformat = \"json\"\n",
	} {
		r.reloads(parse(t, change+ssh), nil)
		r.log.await(t, key+" cannot change while running: restart the service")
	}
	r.knock(10, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 ")
}

func TestReloadThatSucceedsKeepsHalfDoneKnocks(t *testing.T) {
	r := start(t, ssh)
	r.knock(10, 7300, 7100)
	r.reloads(parse(t, ssh+strings.NewReplacer("ssh", "web", "7", "8", "22", "80").Replace(ssh)), nil)
	r.log.await(t, "reloaded: table inet nftknock, NFLOG group 5, 2 accesses")
	r.knock(10, 7200)
	r.log.await(t, "granted 192.0.2.10 access to tcp/22 for 30s")
	r.knock(11, 8300, 8100, 8200)
	r.log.await(t, "granted 192.0.2.11 access to tcp/80 for 30s")
}

func TestAReadErrorEndsTheDaemon(t *testing.T) {
	r := start(t, ssh)
	r.source.Fail(errors.New("the socket broke"))
	r.log.await(t, "stopped; ")
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "nflog group 5: the socket broke") {
		t.Errorf("ended with %v", err)
	}
}

func TestWhatCannotBeginChangesNothing(t *testing.T) {
	fake, err := gate.NewFake(gate.Config{Table: "nftknock"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	g := &brokenGate{Fake: fake, broken: errors.New("no table")}
	source := nflog.NewFake(5)
	log, _ := daemon.NewLogger(new(buffer), policy.Log{})
	c := daemon.Config{
		Plan: plan(t, ssh), Log: log,
		OpenSource: func(nflog.Config) (nflog.Source, error) { return source, nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return g, nil },
	}
	if err := daemon.Run(context.Background(), c); err == nil || err.Error() != "no table" {
		t.Errorf("bad table: %v", err)
	}
	if err := source.Close(); err != nil || !g.closed {
		t.Errorf("left open: gate closed %v, source %v", g.closed, err)
	}
	c.OpenSource = func(nflog.Config) (nflog.Source, error) { return nil, nflog.ErrGroupTaken }
	c.OpenGate = func(gate.Config) (gate.Gate, error) { t.Error("the gate was opened"); return g, nil }
	if err := daemon.Run(context.Background(), c); !errors.Is(err, nflog.ErrGroupTaken) {
		t.Errorf("group taken: %v", err)
	}
}

func TestPlan(t *testing.T) {
	if _, err := daemon.NewPlan(parse(t, ssh+"enabled = false\n")); err == nil {
		t.Error("a plan with nothing to do")
	}
	p := plan(t, ssh)
	logged := make(map[gate.Service]bool)
	for _, s := range p.Ruleset.KnockPorts {
		if logged[s] {
			t.Errorf("%v is logged twice", s)
		}
		logged[s] = true
	}
	for _, e := range append(p.Engine.Tripwires, p.Engine.Accesses[0].Sequence...) {
		if !logged[gate.Service{Protocol: e.Protocol, First: e.Port, Last: e.Port}] {
			t.Errorf("%v is not logged", e)
		}
	}
	if len(p.Engine.Tripwires) != 256 {
		t.Errorf("%d tripwires, want 256", len(p.Engine.Tripwires))
	}
}

// The way of a packet from its bytes to the verdict allocates nothing.
func TestPacketPathAllocatesNothing(t *testing.T) {
	engine, err := knock.New(plan(t, ssh).Engine)
	if err != nil {
		t.Fatal(err)
	}
	var (
		p  packet.Packet
		at = time.Now()
		n  int
	)
	handle := func() {
		for _, port := range []uint16{7300, 7100, 7200, 7101} {
			n++
			if err := packet.Decode(datagram10[port], &p); err != nil {
				t.Fatal(err)
			}
			engine.Handle(at.Add(time.Duration(n)*time.Millisecond), &p)
		}
	}
	handle()
	if allocs := testing.AllocsPerRun(1000, handle); allocs != 0 {
		t.Errorf("%v allocations in four packets, want none", allocs)
	}
}

var datagram10 = map[uint16][]byte{
	7300: datagram(10, 7300), 7100: datagram(10, 7100), 7200: datagram(10, 7200), 7101: datagram(10, 7101),
}
