package spent

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// retryAfter is the shortest pause between two attempts to open a store.
const retryAfter = 5 * time.Second

// A Retry takes the place of a store while that is being opened, and opens it again if that
// fails. Until the store is open, Spend and Prune return the error of the last attempt, so
// that no knock is honoured. A call that comes 5 s or more after the last attempt begins
// another, and waits for it. Its methods may be called from several goroutines.
type Retry struct {
	open func() (Spender, error)

	mu       sync.Mutex
	store    Spender       // nil until it is open
	err      error         // of the last attempt; nil with a store
	tried    time.Time     // the end of the last attempt
	attempt  chan struct{} // closed at the end of the attempt under way; nil if there is none
	finished bool          // Close was called
}

// NewRetry makes a Retry and begins the first attempt to open its store. It does not wait:
// open is called in a goroutine of its own, one call at a time.
func NewRetry(open func() (Spender, error)) *Retry {
	r := &Retry{open: open, attempt: make(chan struct{})}
	go r.openStore()
	return r
}

// Opened returns nil if the store is open, and the error of the last attempt otherwise. It
// waits for an attempt that is under way until ctx is done, and then returns the cause of
// that; the attempt goes on.
func (r *Retry) Opened(ctx context.Context) error {
	r.mu.Lock()
	attempt := r.attempt
	r.mu.Unlock()
	if attempt != nil {
		select {
		case <-attempt:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := r.result()
	return err
}

// Spend implements Spender. It waits for an attempt to open the store until ctx is done.
func (r *Retry) Spend(ctx context.Context, e Entry) error {
	s, err := r.get(ctx)
	if err != nil {
		return err
	}
	return s.Spend(ctx, e)
}

// Prune implements Spender. It waits for an attempt to open the store for as long as that
// takes.
func (r *Retry) Prune(now time.Time) (removed int, err error) {
	s, err := r.get(context.Background())
	if err != nil {
		return 0, err
	}
	return s.Prune(now)
}

// Close waits for an attempt that is under way, and closes the store if it was opened.
func (r *Retry) Close() error {
	r.mu.Lock()
	r.finished = true
	attempt := r.attempt
	r.mu.Unlock() // openStore needs it
	if attempt != nil {
		<-attempt
	}
	if s, _ := r.result(); s != nil {
		return s.Close()
	}
	return nil
}

// get returns the store, or the reason why there is none.
func (r *Retry) get(ctx context.Context) (Spender, error) {
	attempt := r.try()
	if attempt == nil {
		return r.result()
	}
	select {
	case <-attempt:
		return r.result()
	case <-ctx.Done():
		return nil, fmt.Errorf("opening the store: %w", context.Cause(ctx))
	}
}

// try returns the attempt under way, after it has begun one if the last is long enough ago.
// An attempt is a goroutine of its own, since Open reads the whole file and cannot be
// interrupted.
func (r *Retry) try() (attempt <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempt == nil && r.store == nil && !r.finished && time.Since(r.tried) >= retryAfter {
		r.attempt = make(chan struct{})
		go r.openStore()
	}
	return r.attempt
}

func (r *Retry) openStore() {
	s, err := r.open()
	r.mu.Lock()
	defer r.mu.Unlock()
	// On error s may be a nil *Store, and an interface that holds it is not nil.
	if err == nil {
		r.store = s
	}
	r.err, r.tried = err, time.Now()
	close(r.attempt) // wakes all that wait
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
