package spent

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A store that is not there is opened again, but not at each knock.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		damaged, gone := errors.New("damaged"), errors.New("no such file or directory")
		attempts := 0
		s := newShelf()
		r := NewRetry(func() (Spender, error) {
			switch attempts++; attempts {
			case 1:
				return (*Store)(nil), damaged
			case 2:
				return (*Store)(nil), gone
			}
			return s, nil
		})
		wantErr(t, r.Opened(t.Context()), damaged)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), damaged)
		time.Sleep(retryAfter)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), gone)
		_, err := r.Prune(time.Now())
		wantErr(t, err, gone)
		time.Sleep(retryAfter)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), nil)
		wantErr(t, r.Opened(t.Context()), nil)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), ErrSpent)
		if _, err := r.Prune(time.Now()); err != nil || s.pruned != 1 {
			t.Errorf("%v, pruned %d times, want 1", err, s.pruned)
		}
		if err := r.Close(); err != nil || !s.closed || attempts != 3 {
			t.Errorf("%v, closed: %v, %d attempts, want 3", err, s.closed, attempts)
		}
	})
}

// An attempt on a disk that hangs keeps neither Opened nor a Spend from its answer, and
// Close closes what comes of it.
func TestRetryInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, come := newShelf(), make(chan struct{})
		r := NewRetry(func() (Spender, error) { <-come; return s, nil })
		why := errors.New("too slow")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		wantErr(t, r.Opened(ctx), why)
		wantErr(t, r.Spend(ctx, soon("ssh", 1)), why)
		closed := make(chan error)
		go func() { closed <- r.Close() }()
		synctest.Wait()
		close(come)
		if err := <-closed; err != nil || !s.closed {
			t.Errorf("%v, closed: %v", err, s.closed)
		}
	})
}

func TestRetryClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		r := NewRetry(func() (Spender, error) { attempts++; return nil, errors.New("damaged") })
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(retryAfter)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), os.ErrClosed)
		if attempts != 1 {
			t.Errorf("%d attempts, want none after Close", attempts)
		}
	})
}
