package nflog

import (
	"os"
	"slices"
	"sync"
	"time"
)

// Fake is a Source that tests feed. It obeys the contract of Source as Reader
// does, and runs the same code on datagrams as the kernel would write them;
// only the socket is missing. All methods but Read may be called from any
// goroutine, and none but Read blocks.
type Fake struct {
	stream
	last []byte // the payload that Read returned last

	mu     sync.Mutex
	fed    *sync.Cond // the queue has grown, or the fake is closed
	queue  []event
	seq    map[uint16]uint32 // of each group's next packet
	closed bool
}

// event is what one wait of Read ends with: a datagram, or a reason why there
// is none.
type event struct {
	datagram []byte
	time     time.Time // zero: the time of reading
	overrun  bool
	err      error
}

// NewFake returns a Fake that listens to the groups.
func NewFake(groups ...uint16) *Fake {
	f := &Fake{seq: make(map[uint16]uint32)}
	f.fed = sync.NewCond(&f.mu)
	f.init(groups)
	for _, g := range groups {
		f.seq[g] = 0
	}
	return f
}

// Log logs a packet, of which it takes a copy. Read returns it with the time
// given, or with the time of reading if that is zero. Seq is given by the
// fake, as by the kernel. A packet of a group that nobody listens to is
// dropped, as by the kernel.
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

// Lose is the loss of the next n packets of a group in the kernel. It shows in
// Stats with the next packet that is not lost.
func (f *Fake) Lose(group uint16, n uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.seq[group]; ok {
		f.seq[group] += n
	}
}

// Overrun is the kernel's word that it lost packets.
func (f *Fake) Overrun() { f.push(event{overrun: true}) }

// Inject lets Read see any bytes as a datagram of the kernel.
func (f *Fake) Inject(datagram []byte) { f.push(event{datagram: slices.Clone(datagram)}) }

// Fail makes Read return an error, once, when it has read what was fed
// before.
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

// Read fills rec with the next packet. See Source. It overwrites the payload
// that the Read before it returned, so that whoever keeps one notices.
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

func (f *Fake) wait() (event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 && !f.closed {
		f.fed.Wait()
	}
	if f.closed {
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

// Close ends Read. See Source.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.fed.Broadcast()
	return nil
}
