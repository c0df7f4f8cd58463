package event

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// notes is a consumer that keeps what it gets.
type notes []Record

func (n *notes) Consume(r Record) { *n = append(*n, r) }

func (n *notes) told() (events []Event) {
	for _, r := range *n {
		if r.Logged {
			events = append(events, r.Event)
		}
	}
	return events
}

// clock is moved by hand.
type clock struct{ time.Time }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time       { return c.Time }
func (c *clock) pass(d time.Duration) { c.Time = c.Add(d) }
func textLog(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, nil))
}

// All lines of a knock are there or none is, and the count of what was left out
// stands with the first grant.
func TestAKnockIsToldAsAWhole(t *testing.T) {
	var got notes
	c := newClock()
	d := NewDispatcher(c.now, &got)
	knock := func() bool {
		return d.Emit(OSGuessed{shared, "Linux", "linux"}, KnockMatched{shared}, Granted{plainGrant}, Granted{plainGrant})
	}
	for n := range 40 {
		if told := knock(); told != (n < 30) {
			t.Errorf("knock %d: told is %v", n, told)
		}
	}
	if len(got) != 40*4 || len(got.told()) != 30*4 {
		t.Errorf("%d events, %d told", len(got), len(got.told()))
	}
	c.pass(200 * time.Millisecond)
	knock()
	for i, omitted := range []int{0, 0, 10, 0} {
		if r := got[40*4+i]; !r.Logged || r.Omitted != omitted || r.Time != c.Time {
			t.Errorf("event %d of the last knock is %+v, want it told with %d omitted", i, r, omitted)
		}
	}
}

func TestNothingIsWrittenWithoutALogger(t *testing.T) {
	var none *Dispatcher
	if none.Emit(Stopped{}) {
		t.Error("a nil dispatcher told something")
	}
	if !NewDispatcher(nil, NewLog(nil)).Emit(Stopped{}) {
		t.Error("not told")
	}
}

func TestAttach(t *testing.T) {
	var first, second notes
	d := NewDispatcher(nil, &first)
	detach := d.Attach(&second)
	d.Emit(Stopped{})
	detach()
	detach()
	d.Emit(Stopped{})
	if len(first) != 2 || len(second) != 1 {
		t.Errorf("%d and %d events, want 2 and 1", len(first), len(second))
	}
}

func TestLog(t *testing.T) {
	var b bytes.Buffer
	c := newClock()
	d := NewDispatcher(c.now, NewLog(textLog(&b)))
	for range 21 {
		d.Emit(Unrecorded{encrypted, errFull})
	}
	d.Emit(Refused{Knock: shared, Step: 1}) // at level debug
	if n := strings.Count(b.String(), "\n"); n != 20 {
		t.Errorf("%d lines, want 20", n)
	}
	c.pass(time.Second)
	b.Reset()
	d.Emit(Unrecorded{encrypted, errFull})
	want := fmt.Sprintf(`time=%s level=ERROR msg="cannot record the knock of 192.168.10.2, so it opens nothing: the set is full" `+
		`event=unrecorded src=192.168.10.2 access=mbr knock=encrypted reason="the set is full" omitted=1`+"\n", c.Format("2006-01-02T15:04:05.000Z07:00"))
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

// slow is a consumer that takes nothing before it is released.
type slow struct {
	release chan struct{}
	notes
}

func (s *slow) Consume(r Record) {
	<-s.release
	s.notes.Consume(r)
}

func TestASlowConsumerDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{release: make(chan struct{})}
		a := NewAsync(s, 8)
		d := NewDispatcher(nil, a)
		d.Emit(Stopped{})
		synctest.Wait() // until it is the consumer's
		for range 10 {
			d.Emit(Stopped{}) // would be a deadlock if it waited
		}
		if n := a.Dropped(); n != 2 {
			t.Errorf("%d dropped, want 2", n)
		}
		close(s.release)
		a.Close()
		if len(s.notes) != 9 {
			t.Errorf("%d consumed, want 9", len(s.notes))
		}
	})
}

// The keeper, the recorder and the supervisor emit at the same time, while others look
// up what is remembered.
func TestEmitFromSeveralGoroutines(t *testing.T) {
	var b bytes.Buffer
	recent := NewRecent()
	d := NewDispatcher(nil, NewLog(textLog(&b)), recent)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := range 200 {
				k := Knock{Source: netip.AddrFrom4([4]byte{10, byte(g), 0, byte(n)}), Access: fmt.Sprint(n), Kind: KindSPA}
				d.Emit(KnockMatched{k}, Granted{Grant{Knock: k, Allow: k.Source, To: netip.PrefixFrom(k.Source, 32), Open: ssh}})
				recent.Of(k.Source)
				recent.Latest(3)
			}
		})
	}
	all.Wait()
	matched := ""
	for line := range strings.Lines(b.String()) {
		_, rest, _ := strings.Cut(line, " src=")
		source, _, _ := strings.Cut(rest, " ")
		if matched != "" && source != matched {
			t.Fatalf("the lines of %s are not together", matched)
		}
		if matched = ""; strings.Contains(line, "event=matched") {
			matched = source
		}
	}
}
