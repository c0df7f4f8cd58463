package spent

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"nftknock/test/thorough"
)

func TestPrune(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	const tokens = 10000
	checked := thorough.Choose(97, 1) // steps between the tokens that are looked up
	fill(t, s, expiring, 0, tokens)
	eternal := func(i int) Entry { return Entry{Token: token(tokens + i)} }
	fill(t, s, eternal, 0, 100)

	left := tokens
	for _, second := range []int{-1, 0, 0, 1, 998, 4500, 4400, 9998, tokens + 1e6, 0} {
		n, err := s.Prune(epoch.Add(time.Duration(second) * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		want := max(0, left-max(0, tokens-1-second))
		if n != want {
			t.Errorf("second %d: pruned %d, want %d", second, n, want)
		}
		left -= n
		if s.Len() != left+100 {
			t.Errorf("second %d: %d left, want %d", second, s.Len(), left+100)
		}
		for i := 0; i < tokens; i += checked {
			want := ErrSpent
			if i < tokens-left {
				want = ErrStale
			}
			if err := s.Spend(ctx, expiring(i)); !errors.Is(err, want) {
				t.Fatalf("second %d, token %d: got %v, want %v", second, i, err, want)
			}
		}
		wantSpent(t, s, eternal, 100)
	}
	s.Close()
	s = open(t, path)
	if err := s.Spend(ctx, expiring(tokens-1)); !errors.Is(err, ErrStale) {
		t.Errorf("after a restart: got %v, want %v", err, ErrStale)
	}
	// A clock that was ahead by days forbids nothing that expires now.
	spend(t, s, expiring(tokens+1000))
}

func TestPrunedSpaceIsUsedAgain(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	const tokens = 3000
	cycles := thorough.Choose(4, 20)
	var first, last int64
	for i := range cycles {
		fill(t, s, expiring, i*tokens+1, (i+1)*tokens+1)
		if n, err := s.Prune(epoch.Add(time.Duration((i+1)*tokens) * time.Second)); n != tokens || err != nil {
			t.Fatal(n, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if last = info.Size(); i == 0 {
			first = last
		}
	}
	t.Logf("%d kB after one cycle, %d kB after %d", first>>10, last>>10, cycles)
	if last > 2*first {
		t.Errorf("grew from %d to %d bytes", first, last)
	}
}

// A token that is refused as too old while the clock is ahead by years is recorded with an
// expiry that is over. It is never good again, and honest knocks are good as soon as the
// clock is right.
func TestBurntWhileTheClockIsAhead(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	spend(t, s, expiring(0))
	if err := s.Spend(ctx, expiring(0)); !errors.Is(err, ErrSpent) {
		t.Errorf("before it is pruned: got %v, want %v", err, ErrSpent)
	}
	if n, err := s.Prune(epoch.AddDate(10, 0, 0)); n != 1 || err != nil {
		t.Fatalf("pruned %d, %v, want 1", n, err)
	}
	before := readFile(t, path)
	for range 200 {
		if err := s.Spend(ctx, expiring(0)); !errors.Is(err, ErrStale) {
			t.Fatalf("after that: got %v, want %v", err, ErrStale)
		}
	}
	if !bytes.Equal(before, readFile(t, path)) {
		t.Error("replays of a pruned token write")
	}
	spend(t, s, expiring(1))
}
