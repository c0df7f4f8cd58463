package spent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of the entries that wait for the disk: in all, and per access, so that knocks
// for one access cannot use up the room of all.
const (
	maxQueued          = 4096
	maxQueuedPerAccess = 1024
)

// concurrency is how many entries of a Queue are being recorded at a time. A Store records
// them together.
const concurrency = 32

// answerTimeout is the longest time from Submit to the answer. Clients have given up by
// then.
const answerTimeout = 5 * time.Second

// pruneInterval is the time between two Prunes of the store.
const pruneInterval = time.Minute

var (
	errNoAnswer = fmt.Errorf("the disk did not answer within %v", answerTimeout)
	errNoStore  = errors.New("no store of spent tokens is open")
)

// A Queue records entries in a store for a caller that cannot wait for the disk. Answers
// returns the store's answer to each, with a payload that the Queue does not look at. All
// methods but Run return at once and may be called from any goroutine.
//
// Up to 32 entries are being recorded at a time. They are taken in the order of Submit,
// and answered in the order in which the store answers, which may differ: if more
// entries of an access wait than its limit allows, any of them may be those that are
// honoured. Of two entries with the same token, the one that was submitted first is
// honoured: Submit refuses the second while the first is under way, and the store refuses
// it after that.
//
// An entry that is not recorded within 5 s of Submit is answered with an error. Its token,
// and that of every entry that failed for another reason than a refusal, is kept in memory
// and refused until it expires or the process ends: the knock was refused, and whoever saw
// it on its way must not be able to use it later.
type Queue[T any] struct {
	report  Reports
	entries chan queued[T]
	answers chan Answer[T]

	mu      sync.Mutex
	store   Spender        // nil until Use
	failure string         // of the last Prune, or why the store is not open; empty for none
	waiting map[Token]bool // tokens between Submit and their answer
	count   map[string]int // entries between Submit and their answer, by access
	lost    lost
}

// queued is an entry between Submit and its answer.
type queued[T any] struct {
	Entry
	payload  T
	deadline time.Time
}

// An Answer is the store's answer to an entry. The knock may be honoured if Err is nil, and
// must not be honoured otherwise.
type Answer[T any] struct {
	Payload T
	Err     error
}

// Reports are called from goroutines of Run. None of them may be nil.
type Reports struct {
	// Pruned is called with an error when the store cannot be pruned, unless the error is
	// that of the last attempt, and with nil when it can be pruned again, or for the first
	// time after UseFailed.
	Pruned func(error)
	// Closed is called with the error if Run cannot close the store at its end.
	Closed func(error)
}

// NewQueue makes a queue that has no store yet.
func NewQueue[T any](report Reports) *Queue[T] {
	return &Queue[T]{
		report:  report,
		entries: make(chan queued[T], maxQueued),
		answers: make(chan Answer[T]),
		waiting: make(map[Token]bool),
		count:   make(map[string]int),
	}
}

// Use sets the store of the queue. From then on the queue alone uses it, and Run closes it.
// Use or UseFailed is called once; entries that are taken before that are answered with an
// error.
func (q *Queue[T]) Use(s Spender) { q.use(s, "") }

// UseFailed is Use for a store that has failed already, such as a Retry, with an error that
// the caller has reported: the queue does not report it again, but reports when the store
// works.
func (q *Queue[T]) UseFailed(s Spender, err error) { q.use(s, err.Error()) }

func (q *Queue[T]) use(s Spender, failure string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.store, q.failure = s, failure
}

// Ready reports whether the queue has a store.
func (q *Queue[T]) Ready() bool { return q.currentStore() != nil }

func (q *Queue[T]) currentStore() Spender {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.store
}

// Submit queues an entry and does not wait; Answers returns the answer. On error there is
// no answer, and the knock must not be honoured: the error is ErrSpent if the token is
// under way or failed before, and any other if there is no room.
//
// Room is bounded in all and per access, so an entry must name its access even if it has
// no Limit. Submit must not be called after Close.
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
	// The send cannot wait: with default, select takes it only if the channel has room.
	select {
	case q.entries <- queued[T]{e, payload, now.Add(answerTimeout)}:
	default:
		q.lost.add(e, now)
		return errFull(maxQueued)
	}
	// A worker may have taken the entry already, but it needs the mutex to answer: these
	// are set before they are deleted.
	q.count[e.Access]++
	if e.Token != nil {
		q.waiting[*e.Token] = true
	}
	return nil
}

func errFull(waiting int) error {
	return fmt.Errorf("the disk is too slow: %d knocks wait to be recorded", waiting)
}

// Waiting returns how many entries have no answer of the store yet.
func (q *Queue[T]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, c := range q.count {
		n += c
	}
	return n
}

// Answers returns the channel with the answer to every entry that Submit took. It has no
// buffer. Run closes it after the last answer, when the store is closed, too.
func (q *Queue[T]) Answers() <-chan Answer[T] { return q.answers }

// Close says that there are no more entries. Run ends when the last one is answered. Close
// may be called once.
func (q *Queue[T]) Close() { close(q.entries) }

// Run records entries until Close, prunes the store every minute (every 5 s while that fails), and at the end closes the
// store and Answers. When ctx is done, it drops the entries that have no answer yet. It
// blocks for as long as the disk does in the store's Prune or Close, even after ctx is
// done. It is called once.
func (q *Queue[T]) Run(ctx context.Context) {
	// Last, so that a reader who sees the end of Answers knows that the store is closed.
	defer close(q.answers)
	pruning, stop := context.WithCancel(ctx)
	var pruner, workers sync.WaitGroup
	pruner.Go(func() { q.prune(pruning) })
	for range concurrency {
		workers.Go(func() { q.work(ctx) })
	}
	// First the entries, then the pruner, then the store: each uses what ends later.
	workers.Wait()
	stop()
	pruner.Wait()
	if s := q.currentStore(); s != nil {
		if err := s.Close(); err != nil {
			q.report.Closed(err)
		}
	}
}

// work records one entry after the other until Close or ctx is done.
func (q *Queue[T]) work(ctx context.Context) {
	for {
		select {
		case e, ok := <-q.entries:
			if !ok {
				return // closed, and empty: a closed channel first gives what it holds
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

// spend makes the store record an entry, returns the answer, and makes room for others.
func (q *Queue[T]) spend(ctx context.Context, e *queued[T]) error {
	ctx, cancel := context.WithDeadlineCause(ctx, e.deadline, errNoAnswer)
	defer cancel()
	// Not under the mutex: Submit must not wait for the disk.
	err := errNoStore
	if s := q.currentStore(); s != nil {
		err = spendOrBurn(ctx, s, e.Entry)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	// Deleted at 0, or the map would keep every access of every policy.
	if q.count[e.Access]--; q.count[e.Access] == 0 {
		delete(q.count, e.Access)
	}
	if e.Token != nil {
		delete(q.waiting, *e.Token)
	}
	// In the same critical section in which the token leaves waiting: between the two, a
	// second Submit of the token would succeed.
	if err != nil && !IsRefusal(err) {
		q.lost.add(e.Entry, time.Now())
	}
	return err
}

// spendOrBurn makes a store record an entry. If the access has reached its limit, it records
// the token without the count: the limit may be raised later, and whoever saw this
// knock must not be able to use it then.
func spendOrBurn(ctx context.Context, s Spender, e Entry) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // says what was waited for; Err says "deadline exceeded"
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

// prune calls pruneOnce until ctx is done: every minute, and more often while the store
// fails, so that it is found soon when the store works again.
func (q *Queue[T]) prune(ctx context.Context) {
	ticker := time.NewTicker(retryAfter)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case now := <-ticker.C:
			if q.failing() || now.Sub(last) >= pruneInterval {
				q.pruneOnce()
				last = now
			}
		case <-ctx.Done():
			return
		}
	}
}

func (q *Queue[T]) failing() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failure != ""
}

// pruneOnce prunes the store, if there is one, and reports when that begins to fail, fails
// for another reason, or succeeds again.
func (q *Queue[T]) pruneOnce() {
	q.mu.Lock()
	s, last := q.store, q.failure
	q.mu.Unlock()
	if s == nil {
		return
	}
	_, err := s.Prune(time.Now())
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if failure == last {
		return
	}
	q.mu.Lock()
	q.failure = failure
	q.mu.Unlock()
	q.report.Pruned(err)
}
