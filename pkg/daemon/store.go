package daemon

import (
	"errors"
	"path/filepath"

	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

// storeFile is the name of the store in the state directory.
const storeFile = "spent.db"

// openStore opens the store, if the plan needs one and it is not open yet.
func (d *Daemon) openStore(p *Plan) error {
	if d.recorder.Ready() || !p.remembers() {
		return nil
	}
	s, err := d.OpenStore(storePath(p))
	if err != nil {
		return err
	}
	d.recorder.Use(s)
	return nil
}

func storePath(p *Plan) string { return filepath.Join(p.Policy.State.Dir, storeFile) }

// openStoreOrWait is openStore at the start, when services must be hidden
// whatever the store is like: with one that cannot be opened no knock is
// honoured that has to be remembered, until it can.
func (d *Daemon) openStoreOrWait(p *Plan) {
	err := d.openStore(p)
	if err == nil {
		return
	}
	d.Log.Error("replay store unavailable: refusing all keyed knocks and accesses with a limit: "+err.Error(),
		"event", "error", "reason", err.Error())
	path := storePath(p)
	d.recorder.Use(spent.NewRetry(func() (spent.Spender, error) { return d.OpenStore(path) }, err))
}

// toSpend is what is to be recorded of a knock before it is honoured; nothing of
// one that has neither token nor limit.
func toSpend(a *policy.Access, v *knock.Verdict) (e spent.Entry, any bool) {
	e = spent.Entry{Access: a.Name, Limit: a.Limit}
	if v.Request != nil {
		e.Token, e.Expires = (*spent.Token)(&v.Request.Token), v.Request.Forget
	}
	return e, e.Token != nil || e.Limit != 0
}

// toBurn is what is to be recorded of a knock that is refused: whoever saw it on
// its way could have more luck with it, being another sender. One that is past
// its time has none.
func toBurn(d decision) (e spent.Entry, any bool) {
	v, req := &d.verdict, d.verdict.Request
	if req == nil || !req.Forget.IsZero() && !v.Time.Before(req.Forget) {
		return e, false
	}
	e = spent.Entry{Token: (*spent.Token)(&req.Token), Expires: req.Forget}
	if a := d.access(); a != nil {
		e.Access = a.Name // has to bear with it: see spent.Queue
	}
	return e, true
}

// refusalOf says why the store refused.
func refusalOf(err error) string {
	switch {
	case errors.Is(err, spent.ErrSpent):
		return alreadyUsed
	case errors.Is(err, spent.ErrLimit):
		return "the access has reached its limit"
	}
	return "token is older than the pruned part of the store; check the system clock"
}

// alreadyUsed is the reason for refusing a spent.
const alreadyUsed = "already used"
