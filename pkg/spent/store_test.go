package spent

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nftknock/test/thorough"
)

func TestSpendOnce(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	sp := []Entry{
		forever(0),
		expiring(1),
		{Token: token(2)},
		{Token: token(3), Expires: epoch, Access: "ssh", Limit: 9},
	}
	for _, one := range sp {
		spend(t, s, one)
	}
	for range 2 {
		for i, one := range sp {
			if err := s.Spend(ctx, one); !errors.Is(err, ErrSpent) {
				t.Errorf("token %d: got %v, want %v", i, err, ErrSpent)
			}
		}
		if n, err := honoured(s, "ssh"); n != 2 || err != nil {
			t.Errorf("honoured %d times, %v, want 2", n, err)
		}
		if n := s.Len(); n != len(sp) {
			t.Errorf("%d tokens, want %d", n, len(sp))
		}
		s.Close()
		s = open(t, path)
	}
}

func TestSpendLimit(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	knock := Entry{Access: "once", Limit: 2}
	spend(t, s, knock)
	s.Close()
	s = open(t, path)
	spend(t, s, knock)
	for _, sp := range []Entry{
		knock,
		{Token: token(1), Access: "once", Limit: 2},
		{Access: "once", Limit: 1}, // lowered since
		{Access: "other", Limit: -1},
	} {
		if err := s.Spend(ctx, sp); !errors.Is(err, ErrLimit) {
			t.Errorf("limit %d: got %v, want %v", sp.Limit, err, ErrLimit)
		}
	}
	spend(t, s, Entry{Access: "other", Limit: 1})
	spend(t, s, Entry{Access: "once", Limit: 3})
	spend(t, s, Entry{Access: "once"})
	spend(t, s, Entry{Token: token(1), Access: "once"})
	for access, want := range map[string]int{"once": 3, "other": 1, "never": 0, "": 0} {
		if n, err := honoured(s, access); n != want || err != nil {
			t.Errorf("%q honoured %d times, %v, want %d", access, n, err, want)
		}
	}
	if err := s.Spend(ctx, Entry{Limit: 1}); err == nil {
		t.Error("a limit for no access was taken")
	}
	if n := s.Len(); n != 1 {
		t.Errorf("%d tokens, want 1", n)
	}
}

func TestRefusalsWriteNothing(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	for i := range 50 {
		spend(t, s, expiring(i))
	}
	spend(t, s, Entry{Access: "ssh", Limit: 1})
	if _, err := s.Prune(epoch); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, path)
	for range 200 {
		for _, c := range []struct {
			sp   Entry
			want error
		}{
			{expiring(7), ErrSpent},
			{expiring(0), ErrStale},
			{Entry{Access: "ssh", Limit: 1}, ErrLimit},
		} {
			if err := s.Spend(ctx, c.sp); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		}
	}
	if n, err := s.Prune(epoch); n != 0 || err != nil {
		t.Errorf("pruned %d, %v, want 0", n, err)
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("the file changed")
	}
}

func TestConcurrentSpends(t *testing.T) {
	s := open(t, newPath(t))
	const tokens, concurrency = 200, 8
	var (
		taken [tokens]atomic.Int32
		all   sync.WaitGroup
	)
	for range concurrency {
		all.Go(func() {
			for i := range tokens {
				switch err := s.Spend(ctx, forever(i)); {
				case err == nil:
					taken[i].Add(1)
				case !errors.Is(err, ErrSpent):
					t.Error(err)
				}
				if _, err := s.Prune(epoch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i := range taken {
		if n := taken[i].Load(); n != 1 {
			t.Errorf("token %d was taken %d times", i, n)
		}
	}
	if n, err := honoured(s, "ssh"); n != tokens || s.Len() != tokens || err != nil {
		t.Errorf("honoured %d, %d tokens, %v, want %d", n, s.Len(), err, tokens)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, newPath(t))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	_, pruned := s.Prune(epoch)
	_, counted := honoured(s, "ssh")
	for _, err := range []error{s.Spend(ctx, forever(0)), pruned, counted} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v, want %v", err, os.ErrClosed)
		}
	}
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "spent.db")
	open(t, path)
	for name, want := range map[string]os.FileMode{
		filepath.Dir(dir): 0o700,
		dir:               0o700,
		path:              0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %#o, want %#o", name, got, want)
		}
	}
	if names, err := os.ReadDir(dir); len(names) != 1 || err != nil {
		t.Errorf("%v, %v are in the directory, want the store alone", names, err)
	}
}

func TestExpiriesAreRoundedUp(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want int64
	}{
		{time.Time{}, never},
		{time.Unix(5, 0), 5},
		{time.Unix(5, 1), 6},
		{time.Unix(-5, 1), -4},
	} {
		if got := seconds(c.t); got != c.want {
			t.Errorf("%v is %d, want %d", c.t, got, c.want)
		}
	}
	s := open(t, newPath(t))
	for _, long := range []time.Time{time.Unix(0, 0), time.Unix(-1, 0)} {
		if err := s.Spend(ctx, Entry{Token: token(0), Expires: long}); !errors.Is(err, ErrStale) {
			t.Errorf("%v: got %v, want %v", long, err, ErrStale)
		}
	}
}

// Whatever bbolt writes, Open takes: pages split and merged, values that
// overflow pages, free lists.
func TestVerifyTakesWhatIsWritten(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	s.db.NoSync = true
	random := rand.New(rand.NewPCG(9, 10))
	written, pruned := 0, 0
	for i := range thorough.Choose(100, 400) {
		switch n := 1 + random.IntN(200); random.IntN(4) {
		case 0:
			spend(t, s, Entry{Access: strings.Repeat("a", 1+random.IntN(9000)), Limit: 1 << 30})
		case 1, 2:
			fill(t, s, expiring, written+1, written+1+n)
			written += n
		case 3:
			pruned = min(written, pruned+random.IntN(400))
			if _, err := s.Prune(epoch.Add(time.Duration(pruned) * time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		l, err := verify(s.file, info.Size())
		if err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
		if int(l.tokens) != s.Len() || s.Len() != written-pruned {
			t.Fatalf("transaction %d: %d and %d tokens, want %d", i, l.tokens, s.Len(), written-pruned)
		}
	}
}
