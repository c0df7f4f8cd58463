package daemon

import (
	"errors"
	"path/filepath"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/pkg/replay"
)

// Store remembers what was spent. *replay.Store is one; package replay says
// what the methods promise.
type Store interface {
	Spend(replay.Spend) error
	Prune(now time.Time) (removed int, err error)
	Close() error
}

// storeFile is the name of the store in the state directory.
const storeFile = "spent.db"

// pruneEvery is how often tokens whose time is over are forgotten.
const pruneEvery = time.Minute

// openStore opens the store, if the plan needs one and it is not open yet.
func (d *Daemon) openStore(p *Plan) error {
	if d.store != nil || !p.remembers() {
		return nil
	}
	s, err := d.OpenStore(filepath.Join(p.Policy.State.Dir, storeFile))
	if err != nil {
		return err
	}
	d.store = s
	return nil
}

func (d *Daemon) closeStore() {
	if d.store == nil {
		return
	}
	if err := d.store.Close(); err != nil {
		d.Log.Warn("close the store of spent knocks: "+err.Error(), "event", "error")
	}
}

// prune forgets tokens whose time is over. What goes wrong is said once, until
// it goes otherwise.
func (d *Daemon) prune(failure string) string {
	if d.store == nil {
		return ""
	}
	_, err := d.store.Prune(time.Now())
	if err == nil {
		return ""
	}
	if err.Error() != failure {
		d.Log.Error("spent knocks cannot be forgotten: "+err.Error(), "event", "error")
	}
	return err.Error()
}

// errNoStore cannot happen while a plan that needs a store is applied.
var errNoStore = errors.New("there is no store of spent knocks")

// spend records a knock that is to be honoured. Only with nil it may be.
func (k *keeper) spend(a *policy.Access, v *knock.Verdict) error {
	s := replay.Spend{Access: a.Name, Limit: a.Limit}
	if v.Request != nil {
		s.Token, s.Expires = (*replay.Token)(&v.Request.Token), v.Request.Forget
	}
	switch {
	case s.Token == nil && s.Limit == 0:
		return nil
	case k.store == nil:
		return errNoStore
	}
	return k.store.Spend(s)
}

// burn records the token of a knock that is refused: whoever saw it on its way
// could have more luck with it, being another sender.
func (k *keeper) burn(v *knock.Verdict) error {
	if v.Request == nil || v.Reason == knock.TooOld || k.store == nil {
		return nil
	}
	err := k.store.Spend(replay.Spend{Token: (*replay.Token)(&v.Request.Token), Expires: v.Request.Forget})
	if isRefusal(err) {
		return nil
	}
	return err
}

// isRefusal tells what a store refuses from what it cannot do.
func isRefusal(err error) bool {
	return errors.Is(err, replay.ErrSpent) || errors.Is(err, replay.ErrLimit) || errors.Is(err, replay.ErrStale)
}

// refusalOf says why the store refused.
func refusalOf(err error) string {
	switch {
	case errors.Is(err, replay.ErrSpent):
		return alreadyUsed
	case errors.Is(err, replay.ErrLimit):
		return "the access has reached its limit"
	}
	return "older than what was forgotten: was the clock set back?"
}

// alreadyUsed is the reason for refusing a replay.
const alreadyUsed = "already used"
