package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// openTimeout is how long the start and a reload wait for the store to open. Open reads the
// whole file, and a disk that hangs never answers.
const openTimeout = 5 * time.Second

// openStore gives the queue its store, if the plan needs one and the queue has none. It
// fails if the store does not open within openTimeout, and returns errStopping when ctx is
// done.
func (d *Daemon) openStore(ctx context.Context, p *plan.Plan) error {
	if d.router.spends.Ready() || !p.NeedsStore() {
		return nil
	}
	store, err := d.beginOpening(ctx, storePath(p))
	if err == nil {
		d.router.spends.Use(store)
		return nil
	}
	if store != nil {
		d.discard(store)
	}
	return err
}

func storePath(p *plan.Plan) string { return filepath.Join(p.Policy.State.Dir, spent.Name) }

// openStoreOrRetry is openStore for the start of the daemon, which must not fail because of
// the store: services stay hidden in any case. If the store cannot be opened in time, all
// knocks that must be recorded are refused until this attempt or another succeeds. The
// only error is errStopping.
func (d *Daemon) openStoreOrRetry(ctx context.Context, p *plan.Plan) error {
	if !p.NeedsStore() {
		return nil
	}
	store, err := d.beginOpening(ctx, storePath(p))
	if err == nil {
		d.router.spends.Use(store)
		return nil
	}
	// Before the queue has the store, because that clears the condition.
	d.conditions.set(conditionStore, "knocks that must be recorded are refused, because the store of spent tokens cannot be opened: "+err.Error())
	// Also if the daemon stops: the queue closes the store if it opens after all.
	d.router.spends.UseFailed(store, err)
	if ctx.Err() != nil {
		return errStopping
	}
	d.events.Emit(event.StoreUnavailable{Err: err})
	return nil
}

// beginOpening begins to open the store at path and waits for that. On error the attempt may
// still be under way in the store that it returns, which is nil if a discarded attempt has
// not ended yet: two attempts at a time would keep each other from locking the file.
func (d *Daemon) beginOpening(ctx context.Context, path string) (*spent.Retry, error) {
	late := fmt.Errorf("store %q did not open within %v: check the disk", path, openTimeout)
	wait, cancel := context.WithTimeoutCause(ctx, openTimeout, late)
	defer cancel()
	if d.discarded != nil {
		select {
		case <-d.discarded:
		case <-wait.Done():
			return nil, openError(ctx, context.Cause(wait))
		}
	}
	store := spent.NewRetry(func() (spent.Spender, error) { return d.openAt(path) })
	return store, openError(ctx, store.Opened(wait))
}

// openError returns errStopping instead of the error of a wait that ctx has ended.
func openError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errStopping
	}
	return err
}

// discard closes a store that may still be opening, and does not wait for that. The file is
// unlocked when d.discarded is closed.
func (d *Daemon) discard(store *spent.Retry) {
	done := make(chan struct{})
	d.discarded = done
	go func() {
		defer close(done)
		_ = store.Close() // nothing was written
	}()
}

// openAt opens the store at a path, which then reports when it was deleted and restored.
func (d *Daemon) openAt(path string) (spent.Spender, error) {
	store, err := d.config.OpenStore(path)
	if err != nil {
		return nil, err
	}
	if s, ok := store.(*spent.Store); ok {
		s.OnRestore(func() { d.events.Emit(event.StoreRestored{Path: path}) })
	}
	return store, nil
}
