package spent

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// retryAfter is how long a failure to open a store is taken for lasting.
const retryAfter = 5 * time.Second

// A Retry stands for a store that could not be opened. Until it can, every method
// but Close returns why not, so that no knock is honoured; a call that comes more
// than 5 s after the last attempt makes another one, and waits for it.
type Retry struct {
	open func() (Spender, error)

	mu       sync.Mutex
	store    Spender // nil until it is there
	err      error   // of the last attempt; nil with a store
	tried    time.Time
	attempt  chan struct{} // closed at the end of the attempt under way; nil without one
	finished bool
}

// NewRetry stands for the store that open has failed to open just now with err.
func NewRetry(open func() (Spender, error), err error) *Retry {
	return &Retry{open: open, err: err, tried: time.Now()}
}

// Spend gives the entry to the store, if it is there before ctx is done.
func (r *Retry) Spend(ctx context.Context, e Entry) error {
	s, err := r.get(ctx)
	if err != nil {
		return err
	}
	return s.Spend(ctx, e)
}

// Prune prunes the store if it is there.
func (r *Retry) Prune(now time.Time) (removed int, err error) {
	s, err := r.get(context.Background())
	if err != nil {
		return 0, err
	}
	return s.Prune(now)
}

// Close waits for an attempt that is under way, and closes the store if it came.
func (r *Retry) Close() error {
	r.mu.Lock()
	r.finished = true
	attempt := r.attempt
	r.mu.Unlock()
	if attempt != nil {
		<-attempt
	}
	if s, _ := r.result(); s != nil {
		return s.Close()
	}
	return nil
}

// get returns the store, or why there is none.
func (r *Retry) get(ctx context.Context) (Spender, error) {
	attempt := r.try()
	if attempt == nil {
		return r.result()
	}
	select {
	case <-attempt:
		return r.result()
	case <-ctx.Done():
		return nil, fmt.Errorf("opening the store again: %w", context.Cause(ctx))
	}
}

// try returns the attempt under way, and begins one if it is time to: in a
// goroutine of its own, since Open reads the whole file and cannot be interrupted.
func (r *Retry) try() (attempt <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempt == nil && r.store == nil && !r.finished && time.Since(r.tried) >= retryAfter {
		r.attempt = make(chan struct{})
		go r.openAgain()
	}
	return r.attempt
}

func (r *Retry) openAgain() {
	s, err := r.open()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil { // else s may be a nil *Store, which is no nil Spender
		r.store = s
	}
	r.err, r.tried = err, time.Now()
	close(r.attempt)
	r.attempt = nil
}

func (r *Retry) result() (Spender, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil && r.finished {
		return nil, os.ErrClosed
	}
	return r.store, r.err
}
