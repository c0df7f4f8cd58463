package daemon

import (
	"path/filepath"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// storeFile is the name of the store in the state directory.
const storeFile = "spent.db"

// openStore gives the queue its store, if the plan needs one and the queue has none.
func (d *Daemon) openStore(p *plan.Plan) error {
	if d.router.spends.Ready() || !p.NeedsStore() {
		return nil
	}
	s, err := d.config.OpenStore(storePath(p))
	if err != nil {
		return err
	}
	d.router.spends.Use(s)
	return nil
}

func storePath(p *plan.Plan) string { return filepath.Join(p.Policy.State.Dir, storeFile) }

// openStoreOrRetry is openStore for the start of the daemon, which must not fail because of
// the store: services stay hidden in any case. If the store cannot be opened, all knocks
// that must be recorded are refused until another attempt succeeds.
func (d *Daemon) openStoreOrRetry(p *plan.Plan) {
	err := d.openStore(p)
	if err == nil {
		return
	}
	d.events.Emit(event.StoreUnavailable{Err: err})
	path := storePath(p)
	retry := spent.NewRetry(func() (spent.Spender, error) { return d.config.OpenStore(path) }, err)
	d.router.spends.UseFailed(retry, err)
}
