package spent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of what waits for the disk. An access has a share of it, so that who
// knocks for one does not use up the room of all.
const (
	maxQueued          = 4096
	maxQueuedPerAccess = 1024
)

// spenders is how many entries of a Queue are under way at a time. A Store records
// them together.
const spenders = 32

// patience is how long an entry may take from Submit to its answer. A client has
// given up by then.
const patience = 5 * time.Second

// pruneEvery is how often expired tokens are forgotten.
const pruneEvery = time.Minute

var (
	errNoAnswer = fmt.Errorf("the disk did not answer within %v", patience)
	errNoStore  = errors.New("no store of spent tokens is open")
)

// A Queue spends entries for a caller that cannot wait for the disk. Each comes
// back with the store's answer, and with a payload that the Queue only carries.
//
// Up to 32 entries are under way at a time. They are begun in the order of Submit
// and answered in the order in which the store answers, which may be another:
// of several entries of an access with a limit, any may be those that it honours.
// Of two entries with one token the first submitted wins, always: the second is
// refused by Submit while the first is under way, and by the store after that.
//
// An entry that is not recorded within 5 s of Submit comes back with an error. The
// token of an entry that failed in any way is remembered in memory, and refused
// for the life of the Queue or until it expires: its knock was refused once and
// must not be honoured later, for whoever saw it on its way.
type Queue[T any] struct {
	report  Reports
	entries chan queued[T]
	answers chan Answer[T]

	mu      sync.Mutex
	store   Spender // nil until Use
	waiting map[Token]bool
	count   map[string]int // of entries that wait or are under way, by access
	lost    lost
}

// queued is an entry between Submit and its answer.
type queued[T any] struct {
	Entry
	payload  T
	deadline time.Time
}

// An Answer is what the store said of an entry. The knock may be honoured if Err
// is nil, and must not be otherwise.
type Answer[T any] struct {
	Payload T
	Err     error
}

// Reports are called from goroutines of Run. None of them may be nil.
type Reports struct {
	// Pruned is called when the store cannot be pruned, once for each new error, and
	// with nil when it can again.
	Pruned func(error)
	// Closed is called when the store could not be closed at the end.
	Closed func(error)
}

// NewQueue makes a queue without a store.
func NewQueue[T any](report Reports) *Queue[T] {
	return &Queue[T]{
		report:  report,
		entries: make(chan queued[T], maxQueued),
		answers: make(chan Answer[T]),
		waiting: make(map[Token]bool),
		count:   make(map[string]int),
	}
}

// Use gives the queue its store, which then belongs to it. It is called once;
// entries that are begun before it come back with an error.
func (q *Queue[T]) Use(s Spender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.store = s
}

// Ready reports whether the queue has a store.
func (q *Queue[T]) Ready() bool { return q.opened() != nil }

func (q *Queue[T]) opened() Spender {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.store
}

// Submit queues an entry and does not wait: its answer comes by Answers. With an
// error there will be no answer and the knock must not be honoured: ErrSpent if the
// token is under way or failed before; with any other, there is no room.
//
// Room is bounded in all and per access, so an entry names its access even if it has
// no Limit: one whose knock is refused already, say, and whose token is to be spent
// all the same. Submit must not be called after Close.
func (q *Queue[T]) Submit(e Entry, payload T) error {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.Token != nil && q.waiting[*e.Token] {
		return ErrSpent
	}
	if err := q.lost.refusal(e); err != nil {
		return err
	}
	if n := q.count[e.Access]; n >= maxQueuedPerAccess {
		q.lost.add(e, now)
		return errFull(n)
	}
	select {
	case q.entries <- queued[T]{e, payload, now.Add(patience)}:
	default:
		q.lost.add(e, now)
		return errFull(maxQueued)
	}
	q.count[e.Access]++
	if e.Token != nil {
		q.waiting[*e.Token] = true
	}
	return nil
}

func errFull(waiting int) error {
	return fmt.Errorf("the disk is too slow: %d knocks wait to be recorded", waiting)
}

// Answers gives the answer of every entry that Submit took. It is closed after the
// last one, when the store is closed too.
func (q *Queue[T]) Answers() <-chan Answer[T] { return q.answers }

// Close says that no more entries come. Run ends when those there are have been
// answered.
func (q *Queue[T]) Close() { close(q.entries) }

// Run spends what is submitted until Close, prunes the store every minute, and
// closes the store and Answers at the end. When ctx is done it gives up what is
// under way, and what is not answered has no answer. It is called once, and waits
// for a disk that hangs if the store's Prune or Close do.
func (q *Queue[T]) Run(ctx context.Context) {
	defer close(q.answers)
	pruning, stop := context.WithCancel(ctx)
	var pruner, all sync.WaitGroup
	pruner.Go(func() { q.prune(pruning) })
	for range spenders {
		all.Go(func() { q.work(ctx) })
	}
	all.Wait()
	stop()
	pruner.Wait()
	if s := q.opened(); s != nil {
		if err := s.Close(); err != nil {
			q.report.Closed(err)
		}
	}
}

// work spends one entry after the other.
func (q *Queue[T]) work(ctx context.Context) {
	for {
		select {
		case e, ok := <-q.entries:
			if !ok {
				return
			}
			a := Answer[T]{e.payload, q.spend(ctx, &e)}
			select {
			case q.answers <- a:
			case <-ctx.Done():
			}
		case <-ctx.Done():
			return
		}
	}
}

// spend has the store record an entry, and makes room for others.
func (q *Queue[T]) spend(ctx context.Context, e *queued[T]) error {
	ctx, cancel := context.WithDeadlineCause(ctx, e.deadline, errNoAnswer)
	defer cancel()
	err := errNoStore
	if s := q.opened(); s != nil {
		err = spendOrBurn(ctx, s, e.Entry)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count[e.Access]--; q.count[e.Access] == 0 {
		delete(q.count, e.Access)
	}
	if e.Token != nil {
		delete(q.waiting, *e.Token)
	}
	if err != nil && !IsRefusal(err) {
		q.lost.add(e.Entry, time.Now())
	}
	return err
}

// spendOrBurn has a store record an entry, and its token even if the access has reached
// its limit: a limit may be raised, and then this knock must not be good.
func spendOrBurn(ctx context.Context, s Spender, e Entry) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := s.Spend(ctx, e)
	if !errors.Is(err, ErrLimit) || e.Token == nil {
		return err
	}
	e.Limit = 0
	if burnt := s.Spend(ctx, e); burnt != nil && !IsRefusal(burnt) {
		return burnt
	}
	return err
}

// prune forgets expired tokens now and then, until ctx is done.
func (q *Queue[T]) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	failure := ""
	for {
		select {
		case <-ticker.C:
			failure = q.pruneOnce(failure)
		case <-ctx.Done():
			return
		}
	}
}

// pruneOnce reports what is another failure than the last, and returns it.
func (q *Queue[T]) pruneOnce(last string) (failure string) {
	s := q.opened()
	if s == nil {
		return ""
	}
	if _, err := s.Prune(time.Now()); err != nil {
		failure = err.Error()
		if failure != last {
			q.report.Pruned(err)
		}
		return failure
	}
	if last != "" {
		q.report.Pruned(nil)
	}
	return ""
}
