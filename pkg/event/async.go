package event

import "sync/atomic"

// Async is a bounded queue in front of a consumer that may be slow. It calls that consumer
// from a goroutine of its own. When the queue is full, it counts and drops records.
type Async struct {
	queue   chan Record
	done    chan struct{}
	dropped atomic.Uint64
}

// NewAsync makes an Async that holds up to room records for a consumer, and starts its
// goroutine. Close ends it.
func NewAsync(to Consumer, room int) *Async {
	a := &Async{queue: make(chan Record, room), done: make(chan struct{})}
	go a.run(to)
	return a
}

func (a *Async) run(to Consumer) {
	defer close(a.done)
	for r := range a.queue {
		to.Consume(r)
	}
}

// Consume implements Consumer and never blocks. It must not be called after Close.
func (a *Async) Consume(r Record) {
	// With default, select does not wait for room.
	select {
	case a.queue <- r:
	default:
		a.dropped.Add(1)
	}
}

// Dropped returns how many records were dropped because the queue was full. Any goroutine
// may call it.
func (a *Async) Dropped() uint64 { return a.dropped.Load() }

// Close blocks until the consumer has got all queued records. The Async must have been
// detached from its Dispatcher: Consume panics from now on.
func (a *Async) Close() {
	close(a.queue) // the loop of run still gets what the channel holds
	<-a.done
}
