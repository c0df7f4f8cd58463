package event

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/test/thorough"
)

func flood(d *Dispatcher, n int, e Event) (told int) {
	for range n {
		if d.Emit(e) {
			told++
		}
	}
	return told
}

func refusedFor(access string) Refused {
	return Refused{Knock: Knock{Source: client, Access: access, Kind: KindSPA}, Code: CodeNoKey, Step: 1}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name         string
		event        Event
		burst, later int // told at once, and ten seconds later
	}{
		{"grants", Granted{plainGrant}, 30, 30},
		{"refusals", refusedFor("spa"), 20, 20},
		{"refusals for no access", Refused{Knock: unknown, Step: 5}, 20, 20},
		{"strays", Refused{Knock: shared, Step: 1}, 20, 20},
		{"failed grants", GrantFailed{plainGrant, errFull}, 20, 20},
		{"unrecorded", Unrecorded{encrypted, errFull}, 20, 20},
		{"refused and unrecorded", RefusedUnrecorded{encrypted, errFull}, 20, 20},
		{"failed narrowings", NarrowFailed{errFull}, 20, 20},
		{"ends", Ended{running, time.Second, false}, 30, 30},
		{"ends of grants that were told", Ended{running, time.Second, true}, 500, 500},
		{"ends by the policy", EndedEarly{running, "revoked"}, 500, 500},
		{"repairs", Repaired{"nftknock"}, 20, 1},
		{"what nobody can cause", Stopped{}, 500, 500},
	}
	for _, c := range tests {
		clock := newClock()
		d := NewDispatcher(clock.now)
		if n := flood(d, 500, c.event); n != c.burst {
			t.Errorf("%s: %d told at once, want %d", c.name, n, c.burst)
		}
		clock.pass(10 * time.Second)
		if n := flood(d, 500, c.event); n != c.later {
			t.Errorf("%s: %d told later, want %d", c.name, n, c.later)
		}
	}
}

// Whoever floods one access or one class leaves the lines of the others.
func TestLimitsAreApart(t *testing.T) {
	clock := newClock()
	d := NewDispatcher(clock.now)
	for range 100 { // and goes on with it
		clock.pass(100 * time.Millisecond)
		flood(d, 50, refusedFor("spa"))
		flood(d, 50, Refused{Knock: shared, Step: 1})
	}
	for name, e := range map[string]Event{
		"another access": refusedFor("other"), "a whole sequence": Refused{Knock: shared, Step: 2},
		"a grant": Granted{fullGrant}, "a failure": Unrecorded{spa, errFull},
	} {
		if !d.Emit(e) {
			t.Errorf("%s is not told", name)
		}
	}
}

// All accesses together do not fill the log; and however many are flooded, one that is
// not has a line.
func TestManyAccessesDoNotFillTheLog(t *testing.T) {
	var got notes
	clock := newClock()
	d := NewDispatcher(clock.now, &got)
	d.Emit(refusedFor("honest"))
	told := 0
	const accesses, seconds = 500, 30
	for range seconds {
		clock.pass(time.Second)
		for n := range accesses {
			told += flood(d, 10, refusedFor(fmt.Sprint(n)))
		}
	}
	if most := 20*allAccesses + seconds*5*allAccesses + reserve.burst + seconds*int(reserve.rate); told > most || told < most/2 {
		t.Errorf("%d lines, want at most %d and not far less", told, most)
	}
	if !d.Emit(refusedFor("honest")) {
		t.Error("the access that was not flooded has no line")
	}
	var omitted int
	for _, r := range got {
		omitted += r.Omitted
	}
	for _, b := range d.limits.buckets {
		omitted += b.omitted
	}
	if omitted != seconds*accesses*10-told {
		t.Errorf("%d counted as omitted, want %d", omitted, seconds*accesses*10-told)
	}
}

// floodAll has each of some accesses knock in vain twice per second, for a while.
func floodAll(d *Dispatcher, clock *clock, accesses int, during time.Duration) (told int) {
	for end := clock.now().Add(during); clock.now().Before(end); clock.pass(500 * time.Millisecond) {
		for n := range accesses {
			told += flood(d, 1, refusedFor(fmt.Sprint(n)))
		}
	}
	return told
}

// The lines of a class have a bound, however many accesses a policy has.
func TestTheBurstOfAClassIsBounded(t *testing.T) {
	for _, accesses := range []int{1, 10, 1000, thorough.Choose(maxAccesses/4, maxAccesses)} {
		clock := newClock()
		d := NewDispatcher(clock.now)
		// docs/commands.md gives these numbers.
		if n := floodAll(d, clock, accesses, 10*time.Second); n > 1100 {
			t.Errorf("%d accesses: %d lines in ten seconds, want 1100 at most", accesses, n)
		}
		if n := floodAll(d, clock, accesses, 10*time.Second); n > 700 {
			t.Errorf("%d accesses: %d lines in the next ten seconds, want 700 at most", accesses, n)
		}
	}
}

// Each access has a line although all are flooded: within fifteen minutes in the largest
// policy.
func TestEachAccessHasALine(t *testing.T) {
	var told names
	clock := newClock()
	d := NewDispatcher(clock.now, &told)
	accesses := thorough.Choose(maxAccesses/16, maxAccesses)
	floodAll(d, clock, accesses, 15*time.Minute*time.Duration(accesses)/maxAccesses)
	if len(told) != accesses {
		t.Errorf("%d accesses have a line, want %d", len(told), accesses)
	}
}

// names is a consumer: the accesses with a line.
type names map[string]bool

func (n *names) Consume(r Record) {
	if *n == nil {
		*n = make(names)
	}
	if r.Logged {
		(*n)[r.Event.(Refused).Access] = true
	}
}

// Every event that had no line is counted once: by the next line of its access, or by
// EmitOmitted.
func TestOmittedAreCounted(t *testing.T) {
	var got notes
	clock := newClock()
	d := NewDispatcher(clock.now, &got)
	flood(d, 100, refusedFor("spa"))
	flood(d, 100, refusedFor("other"))
	flood(d, 100, Refused{Knock: shared, Step: 1})
	clock.pass(time.Second)
	flood(d, 1, refusedFor("other"))
	got = nil
	d.EmitOmitted()
	want := []Event{Omitted{80, refusals}, Omitted{80, strays}}
	if diff := cmp.Diff(want, got.told(), cmp.AllowUnexported(Omitted{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = nil
	d.EmitOmitted()
	flood(d, 1, refusedFor("spa"))
	if len(got) != 1 || got[0].Omitted != 0 {
		t.Errorf("%+v, want no event that is counted twice", got)
	}
	(*Dispatcher)(nil).EmitOmitted()
}

// Names of accesses that are gone need not be kept, and what they left out is still
// counted.
func TestLimitsAreBounded(t *testing.T) {
	var got notes
	clock := newClock()
	d := NewDispatcher(clock.now, &got)
	const accesses = maxBuckets + maxBuckets/8
	for n := range accesses {
		flood(d, 3, refusedFor(fmt.Sprint(n)))
		if n%1000 == 0 {
			clock.pass(50 * time.Millisecond)
		}
	}
	if n := len(d.limits.buckets); n > maxBuckets {
		t.Errorf("%d buckets, want at most %d", n, maxBuckets)
	}
	clock.pass(24 * time.Hour)
	d.limits.sweep(clock.now())
	d.Emit(refusedFor("new"))
	if n := len(d.limits.buckets); n != 1 {
		t.Errorf("%d buckets after a day, want 1", n)
	}
	total := d.limits.classes[refusals].rest.omitted + len(got.told())
	for _, r := range got {
		total += r.Omitted
	}
	if total != 3*accesses+1 {
		t.Errorf("%d told or counted, want %d", total, 3*accesses+1)
	}
}
