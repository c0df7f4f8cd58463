package daemon

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/spent"
)

// keeper is the one goroutine that owns the gate. It carries out decisions,
// says when a grant has ended, repairs the table, and applies plans between
// the three.
type keeper struct {
	gate      gate.Gate
	recorder  *recorder
	log       *slog.Logger
	plan      *Plan // what the table says
	decisions <-chan decision
	orders    chan order
	doors     doors
	stopped   chan struct{}

	changes  <-chan struct{}  // by other processes
	repairs  *rate.Limiter    // against a process that changes it back each time
	again    <-chan time.Time // when to try another repair
	failure  string           // of the last repair
	putBacks limiter          // of the lines about repairs

	running      lister
	narrowing    *narrowing       // nil while there is nothing to narrow
	moreToNarrow <-chan struct{}  // ready while a narrowing is not over
	unsettled    <-chan time.Time // when to call narrowAgain, since something failed
	narrowAgain  func()

	// What strangers can cause, and with a sequence that they have seen even
	// grants.
	refused, failed, granted, over limits
}

// order asks the keeper to do something between two decisions.
type order struct {
	do   func() error
	done chan<- error
}

func newKeeper(g gate.Gate, log *slog.Logger, plan *Plan, r *recorder, decisions <-chan decision) *keeper {
	return &keeper{
		gate:      g,
		recorder:  r,
		log:       log,
		plan:      plan,
		decisions: decisions,
		orders:    make(chan order),
		doors:     newDoors(),
		stopped:   make(chan struct{}),
		changes:   g.Changes(),
		running:   g,
		repairs:   rate.NewLimiter(10, 20),
		putBacks:  limiter{limit: rate.NewLimiter(rate.Every(10*time.Second), 20)},
		refused:   newLimits(20),
		failed:    newLimits(20),
		granted:   newLimits(30),
		over:      newLimits(30),
	}
}

// run works until there are no more decisions to come and the last of them is
// recorded. Nothing in it waits for a log, a disk or a listing of what others
// write.
func (k *keeper) run() error {
	defer close(k.stopped)
	defer k.doors.stop()
	var tooLate <-chan time.Time
	for {
		select {
		case d, ok := <-k.decisions:
			if !ok {
				k.decisions, tooLate = nil, time.After(diskPatience)
				k.recorder.Close()
				continue
			}
			k.decide(d)
		case a, ok := <-k.recorder.Answers():
			if !ok {
				return nil
			}
			k.recorded(a)
		case <-tooLate:
			k.log.Error("the disk does not answer: knocks that wait to be recorded are dropped", "event", "error")
			return nil
		case d := <-k.doors.ends:
			k.ended(d)
		case o := <-k.orders:
			o.done <- o.do()
		case <-k.changes:
			k.repair()
		case <-k.again:
			k.repair()
		case <-k.moreToNarrow:
			k.goOnNarrowing()
		case <-k.unsettled:
			k.narrowAgain()
		}
	}
}

// diskPatience is how long the end waits for the disk.
const diskPatience = time.Second

// ask has the keeper's goroutine do something, and gives its error. errStopping if
// the keeper has ended.
func (k *keeper) ask(do func() error) error {
	done := make(chan error, 1)
	select {
	case k.orders <- order{do, done}:
		return <-done
	case <-k.stopped:
		return errStopping
	}
}

// adopt brings the table to a plan, and to the interfaces that are not guarded.
func (k *keeper) adopt(p *Plan, unguarded []string) error {
	return k.ask(func() error { return k.apply(p, unguarded) })
}

// follow brings the table to the interfaces that are not guarded.
func (k *keeper) follow(unguarded []string) error {
	return k.ask(func() error { return k.guard(unguarded) })
}

func (k *keeper) apply(p *Plan, unguarded []string) error {
	r := *p.Ruleset
	r.Unguarded = unguarded
	if err := k.gate.Apply(&r); err != nil {
		return err
	}
	k.plan = p
	k.settle()
	return nil
}

// guard has the table let the packets of other interfaces pass.
func (k *keeper) guard(unguarded []string) error {
	r := *k.plan.Ruleset
	r.Unguarded = unguarded
	return k.gate.Apply(&r)
}

// decide acts on a verdict, or has it recorded first: it is on disk before
// anything is open.
func (k *keeper) decide(d decision) {
	v := &d.verdict
	if !v.Granted() {
		k.discard(d, d.reason())
		return
	}
	a, ok := k.current(d)
	if !ok {
		k.discard(d, changedMeanwhile)
		return
	}
	entry, any := toSpend(a, v)
	if !any {
		k.admit(d, a)
		return
	}
	if err := k.recorder.Submit(entry, record{d, a}); err != nil {
		k.notRecorded(d, err)
	}
}

// changedMeanwhile is the reason for refusing a knock whose access is not what it
// was when the knock began.
const changedMeanwhile = "the access was changed by a reload meanwhile"

// recorded acts on a verdict that the store has answered.
func (k *keeper) recorded(answer spent.Answer[record]) {
	r, err := answer.Payload, answer.Err
	switch a, ok := k.current(r.decision); {
	case r.access == nil: // refused already
		if err != nil && !spent.IsRefusal(err) {
			k.unrecorded(r.decision, err)
		}
	case err != nil:
		k.notRecorded(r.decision, err)
	case !ok:
		k.refuse(r.decision, changedMeanwhile)
	default:
		k.admit(r.decision, a)
	}
}

// notRecorded refuses a knock that may not be honoured, or cannot be recorded.
func (k *keeper) notRecorded(d decision, err error) {
	if spent.IsRefusal(err) {
		k.refuse(d, refusalOf(err))
		return
	}
	k.unrecorded(d, err)
}

// admit lets a knocker in, and says so when that is done.
func (k *keeper) admit(d decision, a *policy.Access) {
	timeout := d.timeout(a)
	var granted []port.Range
	whom := grantee(d.allow(), a)
	for _, service := range d.open(a) {
		if err := k.grant(whom, service, a, timeout); err != nil {
			k.notGranted(d, a, service, err)
			continue
		}
		granted = append(granted, service)
	}
	if len(granted) == 0 {
		return
	}
	told := k.tell(d, a, granted)
	for _, service := range granted {
		k.doors.open(door{whom, service}, grant{access: a.Name, knock: a.Knock, timeout: timeout, told: told}, timeout)
	}
}

// grantee is whom an access lets in for an address.
func grantee(address netip.Addr, a *policy.Access) netip.Prefix {
	bits := cmp.Or(a.Prefix6, address.BitLen())
	if address.Is4() {
		bits = cmp.Or(a.Prefix4, address.BitLen())
	}
	return netip.PrefixFrom(address, bits).Masked()
}

// grant has the gate let a source through.
func (k *keeper) grant(source netip.Prefix, service port.Range, a *policy.Access, timeout time.Duration) error {
	g := gate.Grant{
		Source:  source,
		Service: service,
		Once:    a.SingleUse,
		Timeout: timeout,
		Access:  a.Name,
		Method:  string(a.Knock),
	}
	return k.withTable(func() error { return k.gate.Grant(g) })
}

// withTable does what takes a table, and puts that back first if it has to be.
func (k *keeper) withTable(do func() error) error {
	err := do()
	if errors.Is(err, gate.ErrNoTable) {
		k.putBack()
		err = do()
	}
	return err
}

// discard refuses a knock for good.
func (k *keeper) discard(d decision, reason string) {
	if entry, any := toBurn(d); any {
		// Without room its token is remembered as lost, which does as well.
		_ = k.recorder.Submit(entry, record{d, nil})
	}
	k.refuse(d, reason)
}

// current is the access of a decision as the plan has it that the table
// follows: a reload may have come in between.
func (k *keeper) current(d decision) (a *policy.Access, ok bool) {
	if d.plan == k.plan {
		return d.access(), true
	}
	i := slices.IndexFunc(k.plan.Accesses, d.access().Equal)
	if i < 0 {
		return nil, false
	}
	return k.plan.Accesses[i], true
}
