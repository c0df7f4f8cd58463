package daemon

import (
	"path/filepath"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// storeFile is the name of the store in the state directory.
const storeFile = "spent.db"

// openStore opens the store, if the plan needs one and it is not open yet.
func (d *Daemon) openStore(p *plan.Plan) error {
	if d.router.spends.Ready() || !p.Remembers() {
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

// openStoreOrWait is openStore at the start, when services must be hidden whatever
// the store is like. While it cannot be opened, no knock is honoured that has to be
// recorded.
func (d *Daemon) openStoreOrWait(p *plan.Plan) {
	err := d.openStore(p)
	if err == nil {
		return
	}
	d.events.Emit(event.StoreUnavailable{Err: err})
	path := storePath(p)
	d.router.spends.Use(spent.NewRetry(func() (spent.Spender, error) { return d.config.OpenStore(path) }, err))
}
