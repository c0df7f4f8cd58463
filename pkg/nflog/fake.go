package nflog

import (
	"os"
	"slices"
	"sync"
	"time"
)

// Fake is a Source whose packets come from the test instead of the kernel. It has the
// same contract as Reader and parses datagrams with the same code; only the socket is
// missing. Any goroutine may call methods other than Read, and none of them blocks.
type Fake struct {
	stream
	last []byte // the payload that Read returned last

	mu     sync.Mutex
	fed    *sync.Cond // signals that the queue has grown or the fake is closed
	queue  []event
	seq    map[uint16]uint32 // number of the next packet, by group
	closed bool
}

// event is one thing that Read can wait for: a datagram, an overrun or an error.
type event struct {
	datagram []byte
	time     time.Time // of reception; zero for the time of the call to Read
	overrun  bool
	err      error
}

// NewFake returns a Fake for the groups.
func NewFake(groups ...uint16) *Fake {
	f := &Fake{seq: make(map[uint16]uint32)}
	f.fed = sync.NewCond(&f.mu)
	f.init(groups)
	for _, g := range groups {
		f.seq[g] = 0
	}
	return f
}

// Log logs a copy of a packet. Read returns it with rec.Time, or with the time of
// the call to Read if that is zero. Like the kernel, the fake sets Seq, and drops
// packets of groups that are not bound.
func (f *Fake) Log(rec Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seq, ok := f.seq[rec.Group]
	if !ok {
		return
	}
	f.seq[rec.Group]++
	rec.Seq = seq
	f.add(event{datagram: appendPacket(nil, rec), time: rec.Time})
}

// Lose simulates that the kernel loses the next n packets of a group. Stats counts
// them when the next packet is read.
func (f *Fake) Lose(group uint16, n uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.seq[group]; ok {
		f.seq[group] += n
	}
}

// Overrun simulates the kernel's report that packets were lost (ENOBUFS).
func (f *Fake) Overrun() { f.push(event{overrun: true}) }

// Inject makes Read parse any bytes as a datagram of the kernel.
func (f *Fake) Inject(datagram []byte) { f.push(event{datagram: slices.Clone(datagram)}) }

// Fail makes Read return an error once, after the packets logged before.
func (f *Fake) Fail(err error) { f.push(event{err: err}) }

func (f *Fake) push(e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(e)
}

func (f *Fake) add(e event) {
	f.queue = append(f.queue, e)
	f.fed.Signal()
}

// Read fills rec with the next packet. See Source. It overwrites the payload that the
// previous Read returned, so that tests of a caller that keeps it fail.
func (f *Fake) Read(rec *Record) error {
	for i := range f.last {
		f.last[i] = 0xee
	}
	f.last = nil
	for {
		if f.isClosed() {
			return os.ErrClosed
		}
		if f.next(rec) {
			f.last = rec.Payload
			return nil
		}
		if err := f.fill(); err != nil {
			return err
		}
	}
}

// fill waits for the next event.
func (f *Fake) fill() error {
	e, err := f.wait()
	switch {
	case err != nil:
		return err
	case e.err != nil:
		return e.err
	case e.overrun:
		f.overruns.Add(1)
		return nil
	case e.time.IsZero():
		e.time = time.Now()
	}
	f.load(e.datagram, e.time)
	return nil
}

// wait removes the first event from the queue.
func (f *Fake) wait() (event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 && !f.closed {
		f.fed.Wait()
	}
	if f.closed { // whether or not events are left; see Source.Read
		return event{}, os.ErrClosed
	}
	e := f.queue[0]
	f.queue = f.queue[1:]
	return e, nil
}

func (f *Fake) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Close interrupts Read. See Source.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.fed.Broadcast()
	return nil
}
