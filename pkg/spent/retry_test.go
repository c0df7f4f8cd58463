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
			if attempts++; attempts == 1 {
				return (*Store)(nil), gone
			}
			return s, nil
		}, damaged)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), damaged)
		time.Sleep(retryAfter)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), gone)
		_, err := r.Prune(time.Now())
		wantErr(t, err, gone)
		time.Sleep(retryAfter)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), nil)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), ErrSpent)
		if _, err := r.Prune(time.Now()); err != nil || s.pruned != 1 {
			t.Errorf("%v, pruned %d times, want 1", err, s.pruned)
		}
		if err := r.Close(); err != nil || !s.closed || attempts != 2 {
			t.Errorf("%v, closed: %v, %d attempts, want 2", err, s.closed, attempts)
		}
	})
}

// An attempt on a disk that hangs keeps no Spend from its answer, and Close closes
// what comes of it.
func TestRetryInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, come := newShelf(), make(chan struct{})
		r := NewRetry(func() (Spender, error) { <-come; return s, nil }, errors.New("damaged"))
		time.Sleep(retryAfter)
		why := errors.New("too slow")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
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
		r := NewRetry(func() (Spender, error) { t.Error("opened"); return nil, nil }, errors.New("damaged"))
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(retryAfter)
		wantErr(t, r.Spend(t.Context(), soon("ssh", 1)), os.ErrClosed)
	})
}
