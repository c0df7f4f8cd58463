package spent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A shelf is a Spender in memory, on a disk that answers when it is told to.
type shelf struct {
	mu     sync.Mutex
	stuck  chan struct{} // Spends wait until it is closed
	fails  error         // of all Spends
	spent  map[Token]bool
	counts map[string]int
	asked  []Entry
	prunes error
	pruned int
	closed bool
}

func newShelf() *shelf {
	free := make(chan struct{})
	close(free)
	return &shelf{stuck: free, spent: make(map[Token]bool), counts: make(map[string]int)}
}

func (s *shelf) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *shelf) Spend(ctx context.Context, e Entry) error {
	s.mu.Lock()
	s.asked = append(s.asked, e)
	stuck := s.stuck
	s.mu.Unlock()
	select {
	case <-stuck:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fails != nil:
		return s.fails
	case e.Token != nil && s.spent[*e.Token]:
		return ErrSpent
	case e.Limit != 0 && s.counts[e.Access] >= e.Limit:
		return ErrLimit
	}
	if e.Token != nil {
		s.spent[*e.Token] = true
	}
	s.counts[e.Access]++
	return nil
}

func (s *shelf) Prune(time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruned++
	return 0, s.prunes
}

func (s *shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// A desk is a running queue before a shelf, and what it said, in a bubble of
// synctest.
type desk struct {
	*Queue[int]
	*shelf
	testing.TB
	stop     context.CancelFunc
	ended    chan struct{}
	reported []error
}

func atDesk(t *testing.T, f func(d *desk)) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{shelf: newShelf(), TB: t, ended: make(chan struct{})}
		d.Queue = NewQueue[int](Reports{
			Pruned: func(err error) { d.reported = append(d.reported, err) },
			Closed: func(err error) { d.reported = append(d.reported, fmt.Errorf("close: %w", err)) },
		})
		d.Use(d.shelf)
		ctx, stop := context.WithCancel(t.Context())
		d.stop = stop
		go func() { defer close(d.ended); d.Run(ctx) }()
		f(d)
		stop()
		<-d.ended
	})
}

// submit submits what must be taken.
func (d *desk) submit(e Entry, payload int) {
	d.Helper()
	if err := d.Submit(e, payload); err != nil {
		d.Fatal(err)
	}
}

// want checks what the next answer says.
func (d *desk) want(payload int, err error) {
	d.Helper()
	a := <-d.Answers()
	if a.Payload != payload || !errors.Is(a.Err, err) {
		d.Errorf("got %d, %v, want %d, %v", a.Payload, a.Err, payload, err)
	}
}

// jam has the disk hang until the function that it returns is called.
func (d *desk) jam() (release func()) {
	stuck := make(chan struct{})
	d.set(func() { d.stuck = stuck })
	return func() { close(stuck) }
}

// soon spends the n-th token, which expires in an hour.
func soon(access string, n int) Entry {
	return Entry{Token: token(n), Expires: time.Now().Add(time.Hour), Access: access}
}

func TestQueueAnswers(t *testing.T) {
	atDesk(t, func(d *desk) {
		d.submit(soon("ssh", 1), 1)
		d.want(1, nil)
		d.submit(soon("ssh", 1), 2)
		d.want(2, ErrSpent)
		d.submit(Entry{Access: "once", Limit: 1}, 3)
		d.want(3, nil)
		d.submit(Entry{Access: "once", Limit: 1}, 4)
		d.want(4, ErrLimit)
	})
}

// Several entries are under way together, and no two with the same token.
func TestQueueSpendsTogether(t *testing.T) {
	atDesk(t, func(d *desk) {
		release := d.jam()
		for i := range 2 * concurrency {
			d.submit(soon("ssh", i), i)
			wantErr(t, d.Submit(soon("ssh", i), -1), ErrSpent)
		}
		synctest.Wait()
		if n := len(d.asked); n != concurrency {
			t.Errorf("%d are under way, want %d", n, concurrency)
		}
		release()
		var got []int
		for range 2 * concurrency {
			a := <-d.Answers()
			wantErr(t, a.Err, nil)
			got = append(got, a.Payload)
		}
		slices.Sort(got)
		for i, n := range got {
			if i != n {
				t.Fatalf("answers of %v, want one of each", got)
			}
		}
	})
}

// Whatever comes faster than the disk takes it is refused, and leaves room for other
// accesses. A token for which there was no room is not honoured later.
func TestQueueIsBounded(t *testing.T) {
	atDesk(t, func(d *desk) {
		release := d.jam()
		for i := range maxQueuedPerAccess {
			d.submit(soon("ssh", i), i)
		}
		synctest.Wait()
		err := d.Submit(soon("ssh", 10000), 0)
		if err == nil || err.Error() != "the disk is too slow: 1024 knocks wait to be recorded" {
			t.Errorf("got %v", err)
		}
		d.submit(soon("http", 20000), 20000)
		for i := 0; ; i++ {
			if err := d.Submit(soon(fmt.Sprint("access ", i), 30000+i), 0); err != nil {
				if want := fmt.Sprintf("the disk is too slow: %d knocks wait to be recorded", maxQueued); err.Error() != want {
					t.Errorf("got %v, want %v", err, want)
				}
				break
			}
		}
		release()
		for range maxQueued + concurrency {
			wantErr(t, (<-d.Answers()).Err, nil)
		}
		wantErr(t, d.Submit(soon("ssh", 10000), 0), ErrSpent)
		d.submit(soon("ssh", 10001), 1)
		d.want(1, nil)
		if len(d.count) > 0 || len(d.waiting) > 0 {
			t.Errorf("%v and %d tokens are left", d.count, len(d.waiting))
		}
	})
}

// A disk that hangs refuses each entry 5 s after it came, also those that it was
// not asked for yet, and their tokens are not honoured when it works again.
func TestQueueAnswersInTime(t *testing.T) {
	atDesk(t, func(d *desk) {
		release := d.jam()
		came := time.Now()
		for i := range 3 * concurrency {
			d.submit(soon("ssh", i), i)
		}
		for range 3 * concurrency {
			a := <-d.Answers()
			if a.Err == nil || a.Err.Error() != "the disk did not answer within 5s" {
				t.Fatalf("got %v", a.Err)
			}
		}
		if took := time.Since(came); took != answerTimeout {
			t.Errorf("answered after %v, want %v", took, answerTimeout)
		}
		release()
		for i := range 3 * concurrency {
			wantErr(t, d.Submit(soon("ssh", i), 0), ErrSpent)
		}
	})
}

// Nor is a token honoured later for which the disk failed.
func TestQueueRemembersWhatFailed(t *testing.T) {
	atDesk(t, func(d *desk) {
		full := errors.New("no space left on device")
		d.set(func() { d.fails = full })
		d.submit(soon("ssh", 1), 1)
		d.want(1, full)
		d.set(func() { d.fails = nil })
		wantErr(t, d.Submit(soon("ssh", 1), 2), ErrSpent)
		wantErr(t, d.Submit(soon("renamed", 1), 2), ErrSpent)
		d.submit(soon("ssh", 2), 3)
		d.want(3, nil)
		if d.spent[*token(1)] {
			t.Error("the store was asked again")
		}
	})
}

// A knock beyond the limit is spent, so that it is not good when the limit is
// raised.
func TestQueueSpendsBeyondTheLimit(t *testing.T) {
	atDesk(t, func(d *desk) {
		e := soon("ssh", 1)
		e.Limit = 1
		d.submit(Entry{Access: "ssh", Limit: 1}, 1)
		d.want(1, nil)
		d.submit(e, 2)
		d.want(2, ErrLimit)
		e.Limit = 2
		d.submit(e, 3)
		d.want(3, ErrSpent)
	})
}

func TestQueueWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue[int](Reports{})
		go q.Run(t.Context())
		if q.Ready() {
			t.Error("ready")
		}
		if err := q.Submit(soon("ssh", 1), 1); err != nil {
			t.Fatal(err)
		}
		wantErr(t, (<-q.Answers()).Err, errNoStore)
		q.Use(newShelf())
		wantErr(t, q.Submit(soon("ssh", 1), 1), ErrSpent)
		q.Close()
		if _, ok := <-q.Answers(); ok || !q.Ready() {
			t.Errorf("an answer, ready: %v", q.Ready())
		}
	})
}

// Close leaves time for what was submitted, and the store is closed before the
// answers are.
func TestQueueCloses(t *testing.T) {
	atDesk(t, func(d *desk) {
		release := d.jam()
		for i := range 2 * concurrency {
			d.submit(soon("ssh", i), i)
		}
		d.Queue.Close()
		release()
		n := 0
		for a := range d.Answers() {
			wantErr(t, a.Err, nil)
			n++
		}
		if n != 2*concurrency || !d.closed {
			t.Errorf("%d answers, closed: %v, want %d", n, d.closed, 2*concurrency)
		}
	})
}

// One who takes no more answers ends what is under way by the context.
func TestQueueGivesUp(t *testing.T) {
	atDesk(t, func(d *desk) {
		d.jam()
		for i := range 2 * concurrency {
			d.submit(soon("ssh", i), i)
		}
		synctest.Wait()
		d.stop()
		<-d.ended
		if !d.closed {
			t.Error("the store is not closed")
		}
	})
}

func TestQueuePrunes(t *testing.T) {
	atDesk(t, func(d *desk) {
		minutes := func(n int, err error) {
			d.set(func() { d.prunes = err })
			time.Sleep(time.Duration(n)*pruneInterval + time.Second)
		}
		minutes(2, nil)
		minutes(2, errors.New("no space left on device"))
		minutes(1, errors.New("damaged"))
		minutes(2, nil)
		synctest.Wait()
		// Every minute, and every 5 s between the first failure and the first success.
		if d.pruned != 29 {
			t.Errorf("pruned %d times, want 29", d.pruned)
		}
		var said []string
		for _, err := range d.reported {
			said = append(said, fmt.Sprint(err))
		}
		want := "no space left on device; damaged; <nil>"
		if got := strings.Join(said, "; "); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	})
}

// A store that had failed before the queue got it is reported when it works, and its error
// is not reported twice.
func TestQueueOfAStoreThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, gone := newShelf(), errors.New("no such file or directory")
		s.prunes = gone
		var reported []error
		q := NewQueue[int](Reports{Pruned: func(err error) { reported = append(reported, err) }})
		q.UseFailed(s, gone)
		go q.Run(t.Context())
		time.Sleep(2*pruneInterval + time.Second)
		synctest.Wait()
		if len(reported) > 0 {
			t.Errorf("reported %v, which the caller has reported", reported)
		}
		s.set(func() { s.prunes = nil })
		time.Sleep(2 * pruneInterval)
		synctest.Wait()
		if len(reported) != 1 || reported[0] != nil {
			t.Errorf("reported %v, want once that it works", reported)
		}
	})
}

// A real store behind a queue: what it answers is on disk.
func TestQueueOfAStore(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	q := NewQueue[int](Reports{Pruned: func(err error) { t.Error(err) }, Closed: func(err error) { t.Error(err) }})
	q.Use(s)
	go q.Run(t.Context())
	const tokens, limit = 200, 150
	for i := range tokens {
		if err := q.Submit(Entry{Token: token(i), Access: "ssh", Limit: limit}, i); err != nil {
			t.Fatal(err)
		}
	}
	q.Close()
	granted := 0
	for a := range q.Answers() {
		if a.Err == nil {
			granted++
		} else if !errors.Is(a.Err, ErrLimit) {
			t.Error(a.Err)
		}
	}
	s = open(t, path)
	if n, err := honoured(s, "ssh"); granted != limit || n != limit || s.Len() != tokens || err != nil {
		t.Errorf("granted %d, honoured %d, %v, %d tokens, want %d, %d, %d", granted, n, err, s.Len(), limit, limit, tokens)
	}
}
