// Package logqueue writes a log without blocking its callers.
//
// A write to a pipe that is not read, to a hung disk or to a slow terminal blocks. A
// Writer appends lines to a bounded queue instead, and a goroutine of its own writes
// them. Lines for which the queue has no room, and lines that cannot be written, are
// counted, and the log gets a line with their number in their place.
package logqueue

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Bounds of the queue of a Writer.
const (
	maxLines = 4096
	maxBytes = 1 << 20
)

// flushTime is how long Close waits for the queue to be written.
const flushTime = time.Second

// A Gap describes lines that are missing at one place of a log.
type Gap struct {
	Lines int
	Err   error // of the last write that failed; nil if the queue was full
}

// A Writer queues lines for another writer. Its methods may be called from
// several goroutines.
type Writer struct {
	out  io.Writer
	tell func(Gap) []byte
	wake chan struct{}
	done chan struct{}

	mu     sync.Mutex
	queue  []entry
	bytes  int
	lost   int  // lines lost since the last one that was queued
	full   bool // set when the queue is full, cleared when half of it is written
	closed bool

	// Only the goroutine run uses these.
	failed Gap  // lines lost since the last successful write
	torn   bool // the last write ended within a line
}

// entry is a line, and the number of lines that were lost before it.
type entry struct {
	line []byte // nil if there is only a number of lost lines to write
	lost int
}

// New makes a Writer for out and starts its goroutine. tell returns the line, with its
// newline, that is written in the place of lost lines; only that goroutine calls it.
func New(out io.Writer, tell func(Gap) []byte) *Writer {
	w := &Writer{out: out, tell: tell, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write queues p, which must be one or more whole lines, and never blocks. It copies p.
// It always returns len(p) and nil, since the lines are written later.
//
// When the queue is full, lines are lost until half of it is written. So a reader that is
// a little too slow causes few long gaps, and not a gap after each line.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.full = w.full || len(w.queue) == maxLines || w.bytes+len(p) > maxBytes
	if w.full || w.closed {
		w.lost++
	} else {
		w.queue = append(w.queue, entry{bytes.Clone(p), w.lost})
		w.bytes += len(p)
		w.lost = 0
	}
	w.signal()
	return len(p), nil
}

// signal wakes run. The channel has room for one value, so that a signal is kept while
// run is busy.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close waits until the queue is written, but at most a second. After that time the rest
// of the queue may be lost, and the goroutine remains, blocked in its write. Lines of a
// later Write are lost.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(flushTime):
	}
}

func (w *Writer) run() {
	defer close(w.done)
	for {
		e, ok, closed := w.next()
		switch {
		case ok:
			w.put(e)
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// next removes the first entry from the queue; ok is false if it is empty.
func (w *Writer) next() (e entry, ok, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		e = w.queue[0]
		w.queue[0] = entry{} // or the line is not collected until append reallocates
		w.queue = w.queue[1:]
		w.bytes -= len(e.line)
	} else if w.lost > 0 {
		e.lost, w.lost = w.lost, 0
	}
	if len(w.queue) <= maxLines/2 && w.bytes <= maxBytes/2 {
		w.full = false
	}
	return e, e.line != nil || e.lost > 0, w.closed
}

// put writes an entry, after the line about lines that were lost before it. An entry that
// cannot be written is counted as lost and not tried again.
func (w *Writer) put(e entry) {
	w.failed.Lines += e.lost
	if w.failed.Lines > 0 {
		err := w.write(w.tell(w.failed))
		if err != nil {
			// Lines after a gap must not be written without the line about it.
			w.fail(e, err)
			return
		}
		w.failed = Gap{}
	}
	if e.line == nil {
		return
	}
	if err := w.write(e.line); err != nil {
		w.fail(e, err)
	}
}

// fail counts an entry that was not written.
func (w *Writer) fail(e entry, err error) {
	w.failed.Err = err
	if e.line != nil {
		w.failed.Lines++
	}
}

// write writes a line, and a newline before it if the last write ended within a line.
func (w *Writer) write(line []byte) error {
	if w.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := w.out.Write(line)
	// A write of no bytes changes nothing: the log still ends as before.
	if n > 0 {
		w.torn = err != nil
	}
	return err
}
