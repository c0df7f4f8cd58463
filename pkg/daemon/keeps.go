package daemon

import (
	"context"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/policy"
)

// keepPause is the time between an attempt to keep a policy that failed and the next.
const keepPause = time.Minute

// keeps keeps the policy in force as the last one that worked, in a goroutine of its own:
// neither start nor reload waits for the disk.
type keeps struct {
	keep   func(*policy.Policy) error // nil: nothing is kept
	events *event.Dispatcher
	wrong  *conditions         // of the daemon
	next   chan *policy.Policy // has room for one, which a newer one replaces
	done   chan struct{}       // closed when run has ended
}

func newKeeps(keep func(*policy.Policy) error, events *event.Dispatcher) keeps {
	return keeps{keep: keep, events: events, wrong: new(conditions), next: make(chan *policy.Policy, 1), done: make(chan struct{})}
}

// put has a policy kept, and does not wait for that. One goroutine at a time may call it.
func (k *keeps) put(p *policy.Policy) {
	select {
	case <-k.next: // an older one that was not taken yet
	default:
	}
	k.next <- p // has room: only put sends
}

// run keeps policies until ctx is done, and then the one that was put last, if it is not kept
// yet. It reports an error once, and tries again.
func (k *keeps) run(ctx context.Context) {
	defer close(k.done)
	var (
		p      *policy.Policy // to keep; nil if it is kept
		due    <-chan time.Time
		failed bool
	)
	for {
		select {
		case p = <-k.next:
		case <-due:
		case <-ctx.Done():
			select {
			case p = <-k.next:
				_ = k.write(p) // nobody is there to try again
			default:
			}
			return
		}
		err := k.write(p)
		switch {
		case err != nil:
			due = time.After(keepPause)
			k.wrong.set(conditionKept, err.Error())
			if !failed {
				k.events.Emit(event.PolicyNotKept{Err: err})
			}
		case failed:
			k.wrong.clear(conditionKept)
			k.events.Emit(event.PolicyKept{})
			fallthrough
		default:
			p, due = nil, nil
		}
		failed = err != nil
	}
}

func (k *keeps) write(p *policy.Policy) error {
	if k.keep == nil {
		return nil
	}
	return k.keep(p)
}

// wait waits for the end of run, but no longer than a time: the disk may hang.
func (k *keeps) wait(longest time.Duration) {
	select {
	case <-k.done:
	case <-time.After(longest):
	}
}
