package spent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// busy keeps a store from using its file until the function that it returns is
// called, as a disk does that does not answer.
func busy(s *Store) (release func()) {
	for s.group.busy() { // its goroutine ends only after it has answered
		time.Sleep(time.Millisecond)
	}
	s.mu.Lock()
	return sync.OnceFunc(s.mu.Unlock)
}

// waiting waits until n Spends wait for the next transaction.
func waiting(t *testing.T, s *Store, n int) {
	t.Helper()
	for range 5000 {
		s.group.mu.Lock()
		got := len(s.group.waiting)
		s.group.mu.Unlock()
		if got == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d Spends never waited", n)
}

// together spends entries that one transaction takes, and returns their answers.
func together(t *testing.T, s *Store, entries ...Entry) []error {
	t.Helper()
	release := busy(s)
	defer release()
	var all sync.WaitGroup
	all.Go(func() { _ = s.Spend(ctx, Entry{Access: "first", Limit: 1 << 30}) })
	for !s.group.taken() {
		time.Sleep(time.Millisecond)
	}
	errs := make([]error, len(entries))
	for i, e := range entries {
		all.Go(func() { errs[i] = s.Spend(ctx, e) })
		waiting(t, s, i+1)
	}
	release()
	all.Wait()
	return errs
}

// taken reports whether a transaction has all Spends there are.
func (g *group) taken() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.working && len(g.waiting) == 0
}

func (g *group) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.working
}

// transactions is the number of the last transaction in the file.
func transactions(t *testing.T, s *Store) uint64 {
	t.Helper()
	im, err := readImage(s.file, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	return im.meta.txid
}

func TestSpendsTogether(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	spend(t, s, expiring(10))
	spend(t, s, expiring(11))
	if _, err := s.Prune(epoch.Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	before := transactions(t, s)
	once := func(n int) Entry { return Entry{Token: token(n), Access: "twice", Limit: 2} }
	want := []error{nil, ErrSpent, nil, nil, ErrLimit, ErrSpent, ErrStale, nil}
	got := together(t, s, forever(1), forever(1), once(2), once(3), once(4), expiring(11), expiring(9), expiring(12))
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := transactions(t, s) - before; n != 2 { // that of together itself is one
		t.Errorf("%d transactions, want 2", n)
	}
	s.Close()
	s = open(t, path)
	for _, n := range []int{1, 2, 3} {
		wantErr(t, s.Spend(ctx, Entry{Token: token(n)}), ErrSpent)
	}
	spend(t, s, Entry{Token: token(4)}) // refused, so not recorded
	for access, want := range map[string]int{"ssh": 1, "twice": 2} {
		if n, err := honoured(s, access); n != want || err != nil {
			t.Errorf("%s honoured %d times, %v, want %d", access, n, err, want)
		}
	}
}

// Where the transaction fails, none of its entries is recorded, and none is said to
// be spent already.
func TestSpendsTogetherFail(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	spend(t, s, forever(0))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	errs := together(t, s, forever(0), forever(1), forever(1), forever(2))
	wantErr(t, errs[0], ErrSpent)
	for _, err := range errs[1:] {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want %v", err, fs.ErrNotExist)
		}
	}
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	spend(t, s, forever(1))
	spend(t, s, forever(2))
}

func TestLimitIsExactUnderConcurrency(t *testing.T) {
	s := open(t, newPath(t))
	const limit = 20
	var (
		taken atomic.Int32
		all   sync.WaitGroup
	)
	for i := range 100 {
		all.Go(func() {
			err := s.Spend(ctx, Entry{Token: token(i), Access: "ssh", Limit: limit})
			if err == nil {
				taken.Add(1)
			} else if !errors.Is(err, ErrLimit) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, err := honoured(s, "ssh"); taken.Load() != limit || n != limit || s.Len() != limit || err != nil {
		t.Errorf("taken %d, honoured %d, %d tokens, %v, want %d", taken.Load(), n, s.Len(), err, limit)
	}
}

// A Spend does not wait for a disk that hangs, and one that no transaction has yet
// is not recorded.
func TestSpendInTime(t *testing.T) {
	s := open(t, newPath(t))
	release := busy(s)
	defer release()
	why := errors.New("too slow")
	hurried, hurry := context.WithCancelCause(ctx)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- s.Spend(hurried, forever(1)) }()
	for !s.group.taken() {
		time.Sleep(time.Millisecond)
	}
	go func() { second <- s.Spend(hurried, forever(2)) }()
	waiting(t, s, 1)
	hurry(why)
	wantErr(t, <-first, why)
	wantErr(t, <-second, why)
	wantErr(t, s.Spend(hurried, forever(3)), why)
	waiting(t, s, 0)
	release()
	wantErr(t, s.Spend(ctx, forever(1)), ErrSpent) // the transaction had it
	spend(t, s, forever(2))
	spend(t, s, forever(3))
}

// A name that bbolt does not take as a key fails alone.
func TestBadEntryFailsAlone(t *testing.T) {
	s := open(t, newPath(t))
	for _, access := range []string{"", string(make([]byte, 1<<16))} {
		if err := s.Spend(ctx, Entry{Token: token(1), Access: access, Limit: 1}); err == nil {
			t.Error("taken")
		}
	}
	spend(t, s, Entry{Token: token(1)})
}
