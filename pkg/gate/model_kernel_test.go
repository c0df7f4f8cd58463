package gate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/test/netns/netnstest"
	"nftknock/test/thorough"
)

// teller plays stories in the kernel and in the model, and compares.
type teller struct {
	*world
	workers map[share]uint16 // who has it
	asked   [yes + 1]int     // how often the model gave each answer
	told    int              // stories
	logged  int              // packets
	failed  *story
}

// performance is one story on its way.
type performance struct {
	*teller
	*model
	gate  *Kernel
	story story
	odds  *rand.Rand // the same each time
}

// tell plays a story and returns the first step at which kernel and model differ,
// and how, or nil.
func (w *teller) tell(s story) (at int, err error) {
	w.told++
	defer w.pinned()()
	w.begin()
	defer w.end()
	p := &performance{teller: w, model: newModel(w.connected), story: s, odds: rand.New(rand.NewPCG(0, 0))}
	netnstest.Do(w.t, w.server, func() (err error) {
		p.gate, err = Open(Config{Owner: OwnerOff})
		return err
	})
	defer p.gate.Close()
	for i, step := range s.steps {
		if err := p.do(step); err != nil {
			return i, err
		}
	}
	return len(s.steps), nil
}

func (p *performance) do(s step) error {
	switch s.kind {
	case sendPacket:
		return p.packet(s.probe, oddSeq+p.odds.Uint32N(1<<24), oddSeq+p.odds.Uint32N(1<<24))
	case connect:
		return p.connect(s.probe)
	case talk:
		return p.talk(s.probe)
	case giveGrant:
		_, err := p.give(s.grant)
		return err
	case revokeGrant:
		p.revoke(s.grant)
	case expireGrant:
		s.grant.Timeout = MinTimeout
		given, err := p.give(s.grant)
		if err != nil {
			return err
		}
		if given {
			time.Sleep(MinTimeout + 20*time.Millisecond)
			delete(p.grants, s.grant.normal().element())
		}
	case applyRuleset:
		r := p.story.rulesets[s.ruleset]
		if err := p.gate.Apply(&r); err != nil {
			return err
		}
		p.applies(&r)
	case flushTable:
		p.deleteTable()
		p.flushed()
	case repairTable:
		if p.last != nil {
			if _, err := p.gate.Repair(); err != nil {
				return err
			}
			p.repaired()
		}
	case trackingFlushed:
		p.forgotten(p.allConnected())
		p.flushConntrack()
	case hostDatagram:
		if thisHost[s.probe.to.Addr()] {
			p.datagram(s.probe.flow)
			p.hostSends(s.probe.flow)
		}
	case hostDials:
		if thisHost[s.probe.to.Addr()] && p.dial(s.probe.flow) {
			p.hostSends(s.probe.flow)
		}
	case hostResets:
		p.reset(s.probe.flow)
		p.odd(s.probe.flow)
	}
	return nil
}

// give grants what there is a set for. Of two grants for single use it is open
// which one a packet uses up: no story has them.
func (p *performance) give(g Grant) (given bool, err error) {
	g = g.normal()
	for e := range p.grants {
		_, both := e.service.Common(g.Service)
		if e.once && g.Once && both && e.source.Overlaps(g.Source) {
			return false, nil
		}
	}
	if _, running := p.grants[g.element()]; running {
		return false, nil
	}
	err = p.gate.Grant(g)
	if want := p.rules != nil && opens(p.rules, g.element()); (err == nil) != want {
		return false, fmt.Errorf("granting gave %w, want success: %v", err, want)
	}
	if err == nil {
		p.grants[g.element()] = yes
	}
	return err == nil, nil
}

func (p *performance) revoke(g Grant) {
	if err := revoke(p.gate, g.Source, g.Service); err != nil && !errors.Is(err, ErrNoGrant) {
		return // there is no table
	}
	for e := range p.grants {
		if g.Source.Bits() <= e.source.Bits() && g.Source.Overlaps(e.source) && g.Service.Covers(e.service) {
			delete(p.grants, e)
		}
	}
}

// packet sends a packet that is no part of a conversation.
func (p *performance) packet(what probe, seq, ack uint32) error {
	if what.opens() {
		seq = firstSeq // as each time, so that a SYN is sent again
	}
	_, err := p.compare(what, seq, ack)
	p.odd(what.flow)
	return err
}

func (p *performance) compare(what probe, seq, ack uint32) (passed bool, err error) {
	want := p.passes(what)
	got := p.send(what, seq, ack)
	passed = got.passed > 0
	p.asked[want]++
	switch {
	case got.passed > 1:
		return passed, fmt.Errorf("came through %d times", got.passed)
	case want == no && passed:
		return passed, errors.New("came through: nothing lets it in")
	case want == yes && !passed:
		return passed, errors.New("did not come through")
	}
	log := p.logs(what, passed)
	switch {
	case len(got.logged) > 1:
		return passed, fmt.Errorf("was logged %d times: %v", len(got.logged), got.logged)
	case log == no && len(got.logged) > 0:
		return passed, errors.New("was logged")
	case log == yes && len(got.logged) == 0:
		return passed, errors.New("was not logged")
	case len(got.logged) > 0:
		p.logged++
		err = p.checkWorker(what, got.logged[0])
	}
	p.sent(what, passed)
	return passed, err
}

// checkWorker: of some number of workers each source has one.
func (p *performance) checkWorker(what probe, group uint16) error {
	n := group - p.rules.Group
	if int(n) >= p.rules.workers() {
		return fmt.Errorf("was logged to group %d of %d from %d", group, p.rules.workers(), p.rules.Group)
	}
	key := share{p.rules.workers(), what.from.Addr()}
	if before, ok := p.workers[key]; ok && before != n {
		return fmt.Errorf("was logged to worker %d, and another packet to worker %d", n, before)
	}
	p.workers[key] = n
	return nil
}

// share is a source of so many workers.
type share struct {
	of     int
	source netip.Addr
}

// connect begins a connection and completes it if somebody answers.
func (p *performance) connect(what probe) error {
	listener, ok := p.listens(what.flow)
	if p.sockets[what.flow] != nil {
		return nil
	}
	p.answers.Discard()
	what.flags = packet.SYN
	p.odd(what.flow)
	passed, err := p.compare(what, firstSeq, 0)
	if err != nil || !passed || !ok {
		return err
	}
	seq, ok := p.synack(what.flow)
	if !ok {
		return nil
	}
	what.flags = packet.ACK
	if passed, err = p.compare(what, firstSeq+1, seq+1); err != nil || !passed {
		return err
	}
	if fd, ok := p.accept(listener, what.flow); ok {
		p.sockets[what.flow] = &socket{fd: fd, seq: firstSeq + 1, ack: seq + 1}
		p.connected(what)
	}
	return nil
}

// talk sends what comes next on a connection.
func (p *performance) talk(what probe) error {
	s := p.sockets[what.flow]
	if s == nil || s.seq == 0 {
		return nil
	}
	what.inOrder = true
	if _, err := p.compare(what, s.seq, s.ack); err != nil {
		return err
	}
	switch {
	case what.flags&packet.RST != 0:
		p.odd(what.flow)
	case what.flags&packet.FIN != 0:
		s.seq++
		p.odd(what.flow)
	case what.flags != packet.ACK:
		s.seq += uint32(len("data"))
	}
	return nil
}

// shrink leaves steps and parts of the rulesets out while the story still fails.
func (w *teller) shrink(s story) (story, error) {
	at, err := w.tell(s)
	if err == nil {
		return s, errors.New("the story does not fail when it is told again")
	}
	s.steps = s.steps[:at+1]
	fails := func(t story) bool {
		at, e := w.tell(t)
		if e != nil {
			t.steps = t.steps[:at+1]
			s, err = t, e
		}
		return e != nil
	}
	for before := -1; before != s.size(); {
		before = s.size()
		for n := max(len(s.steps)/2, 1); n > 0; n /= 2 {
			for i := 0; i+n <= len(s.steps); {
				if !fails(story{s.rulesets, slices.Delete(slices.Clone(s.steps), i, i+n)}) {
					i += n
				}
			}
		}
		for i := range s.rulesets {
			for part := 0; part < s.rulesets[i].parts(); {
				rulesets := slices.Clone(s.rulesets)
				rulesets[i] = rulesets[i].without(part)
				if !fails(story{rulesets, s.steps}) {
					part++
				}
			}
		}
	}
	return s, err
}

func (s story) size() int {
	n := len(s.steps)
	for _, r := range s.rulesets {
		n += r.parts()
	}
	return n
}

// parts is the number of things that can be left out of a ruleset.
func (r Ruleset) parts() int {
	return len(r.Protected) + len(r.KnockPorts) + len(r.Openings) + len(r.Unguarded) + len(r.Messages)
}

// without leaves one of them out.
func (r Ruleset) without(n int) Ruleset {
	r.Protected, n = omit(r.Protected, n)
	r.KnockPorts, n = omit(r.KnockPorts, n)
	r.Openings, n = omit(r.Openings, n)
	r.Unguarded, n = omit(r.Unguarded, n)
	r.Messages, _ = omit(r.Messages, n)
	return r
}

// omit leaves the nth out, or gives the number that is left to count.
func omit[T any](list []T, n int) ([]T, int) {
	if n < 0 || n >= len(list) {
		return list, n - len(list)
	}
	return slices.Delete(slices.Clone(list), n, n+1), -1
}

// fail says how a story fails, in its shortest form.
func (w *teller) fail(t testing.TB, s story) {
	short, err := w.shrink(s)
	t.Fatalf("%v\nThe last step differs: %v\n", short, err)
}

func newTeller(t testing.TB) *teller {
	return &teller{world: newWorld(t), workers: make(map[share]uint16)}
}

// pinned keeps the calling goroutine on one processor: all frames of a story go
// through that processor's queue, in order.
func (w *teller) pinned() (release func()) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		w.t.Fatal(err)
	}
	var allowed []int
	for i := range 1024 {
		if before.IsSet(i) {
			allowed = append(allowed, i)
		}
	}
	one.Set(allowed[rand.IntN(len(allowed))])
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}
}

// seeded are the bytes of the story of a seed.
func seeded(seed uint64) []byte {
	source := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, 300+source.IntN(3700))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	return data
}

// TestWallAgreesWithTheModel tells stories of random policies, packets and events
// to the kernel and to the model. NFTKNOCK_STORIES is their number where it is to
// be another than the default, for which there is a limit of time as well, and
// NFTKNOCK_STORY the seed of the first.
func TestWallAgreesWithTheModel(t *testing.T) {
	const worlds = 12
	limit := thorough.Choose(5*time.Second, 18*time.Second)
	number, bounded := setting(t, "NFTKNOCK_STORIES", thorough.Choose[uint64](200, 800))
	first, _ := setting(t, "NFTKNOCK_STORY", 1)
	var told atomic.Uint64
	var tellers []*teller
	differs := make(chan *teller, worlds)
	var done sync.WaitGroup
	// Most of a story's time the kernel waits for nobody to look at the rules that
	// went: many worlds at once have no need of as many processors.
	for range min(worlds, number) {
		tellers = append(tellers, newTeller(t))
	}
	begin := time.Now()
	for _, w := range tellers {
		done.Go(func() {
			for len(differs) == 0 && !t.Failed() && (!bounded || time.Since(begin) <= limit) {
				i := told.Add(1)
				if i > number {
					return
				}
				s := readStory(seeded(first + i - 1))
				if at, err := w.tell(s); err != nil {
					t.Logf("NFTKNOCK_STORY=%d, story %d, after %v: step %d: %v",
						first+i-1, i, time.Since(begin).Round(time.Millisecond), at+1, err)
					w.failed = &s
					differs <- w
				}
			}
		})
	}
	done.Wait()
	report(t, tellers, time.Since(begin))
	if len(differs) > 0 {
		w := <-differs
		w.fail(t, *w.failed)
	}
}

func report(t *testing.T, tellers []*teller, took time.Duration) {
	var all teller
	packets, busy := 0, make(map[int]map[uint16]bool)
	for _, w := range tellers {
		for s, n := range w.workers {
			if busy[s.of] == nil {
				busy[s.of] = make(map[uint16]bool)
			}
			busy[s.of][n] = true
		}
		all.told += w.told
		all.logged += w.logged
		packets += w.packets
		for i, n := range w.asked {
			all.asked[i] += n
		}
		if lost := w.log.Stats().Lost; lost > 0 {
			t.Errorf("%d records of the log were lost", lost)
		}
	}
	for of, list := range busy {
		if all.told > 50 && len(list) < of { // the sources of the stories are for all of them
			t.Errorf("of %d workers %d have something to do", of, len(list))
		}
	}
	t.Logf("%d stories, %d packets in %v: the model said no to %d, yes to %d, either to %d; %d were logged",
		all.told, packets, took.Round(time.Millisecond), all.asked[no], all.asked[yes], all.asked[either], all.logged)
}

// setting reads a number from the environment, and reports whether there is none.
func setting(t testing.TB, name string, otherwise uint64) (n uint64, unset bool) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("bad %s: %v", name, err)
	}
	return n, false
}

// FuzzWall tells the stories that any bytes are. Each takes milliseconds, most of
// them the kernel's: -fuzzminimizetime 1x keeps go from spending the time on
// shorter bytes of the same coverage.
func FuzzWall(f *testing.F) {
	// TestWallAgreesWithTheModel tells the same ones: here they are for the fuzzer.
	for seed := range thorough.Choose[uint64](2, 20) {
		f.Add(seeded(seed))
	}
	w := newTeller(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		w.t = t
		s := readStory(data)
		if _, err := w.tell(s); err != nil {
			w.fail(t, s)
		}
	})
}

// TestStoriesThatDiffered tells what showed a defect once.
func TestStoriesThatDiffered(t *testing.T) {
	syn := func(from, to, device string) probe {
		return probe{flow: flow{packet.TCP, netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)}, device: device, flags: packet.SYN}
	}
	with := func(p probe, flags packet.TCPFlags) step {
		p.flags = flags
		return step{kind: sendPacket, probe: p}
	}
	unguarded := syn("11.0.0.1:40201", "10.77.0.1:22", "eth1")
	guarded := syn("11.0.0.1:40201", "10.77.0.1:22", "eth0")
	again := syn("11.0.0.1:40000", server4+":31", "eth0")
	another := syn("11.0.0.1:40001", server4+":31", "eth0")
	once := Ruleset{Protected: services("tcp/31"), Openings: []Opening{{Service: service("tcp/31"), Once: true}}}
	w := newTeller(t)
	for _, tt := range []struct {
		name  string
		story story
	}{
		{"a handshake under way is no connection", story{
			[]Ruleset{{Protected: services("tcp/22"), Unguarded: []string{"eth1"}}},
			[]step{{kind: applyRuleset}, with(unguarded, packet.SYN), with(guarded, packet.ACK)},
		}},
		{"single use, and the table deleted", story{
			[]Ruleset{once},
			[]step{
				{kind: applyRuleset},
				{kind: giveGrant, grant: Grant{Source: from("11.0.0.1"), Service: service("tcp/31"), Once: true, Timeout: time.Hour}},
				with(again, packet.SYN), {kind: flushTable}, {kind: repairTable}, with(again, packet.SYN), with(another, packet.SYN),
			},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			if at, err := w.tell(tt.story); err != nil {
				t.Errorf("%vstep %d: %v", tt.story, at+1, err)
			}
		})
	}
}
