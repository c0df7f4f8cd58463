package event

import "sync/atomic"

// Async is a consumer in front of one that may be slow. It hands records on from a
// goroutine of its own; those that find no room are counted and dropped.
type Async struct {
	queue   chan Record
	done    chan struct{}
	dropped atomic.Uint64
}

// NewAsync makes an Async that holds up to room records for a consumer.
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
	select {
	case a.queue <- r:
	default:
		a.dropped.Add(1)
	}
}

// Dropped is how many records found no room. It may be called from any goroutine.
func (a *Async) Dropped() uint64 { return a.dropped.Load() }

// Close waits until the consumer has taken what is queued. Nothing may emit to
// the Async any more.
func (a *Async) Close() {
	close(a.queue)
	<-a.done
}
