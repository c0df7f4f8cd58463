// Package logqueue writes a log without making anyone wait for its reader.
//
// A pipe that nobody reads, a full disk and a slow terminal all block whoever
// writes to them. A Writer takes lines into a bounded queue instead, from which
// a goroutine of its own writes them. Lines that find no room, and those that
// cannot be written, are counted, and a line in their place says how many they
// were.
package logqueue

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Bounds of what a Writer holds.
const (
	maxLines = 4096
	maxBytes = 1 << 20
)

// flushTime is how long Close waits for what is queued.
const flushTime = time.Second

// A Gap is what a log lacks at one place.
type Gap struct {
	Lines int
	Err   error // of the last write that failed; nil when the queue was full
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
	lost   int  // lines since the last one that was queued
	full   bool // until half of the queue is written
	closed bool

	// What could not be written; of the writing goroutine alone.
	failed Gap
	torn   bool // the last write ended amid a line
}

// entry is a line, and how many were lost before it.
type entry struct {
	line []byte // nil if only the loss is to be told
	lost int
}

// New makes a Writer for out. tell makes the line, with its end, that stands for
// lines that were lost; it is called from one goroutine.
func New(out io.Writer, tell func(Gap) []byte) *Writer {
	w := &Writer{out: out, tell: tell, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write queues p, which must be one or more whole lines, and never blocks. It
// always returns len(p) and nil: whether the lines can be written shows later.
//
// Once the queue is full, nothing is taken until half of it is written. So a
// reader that is a little too slow leaves long gaps and not one per line.
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

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close writes what is queued, but gives up after a second: then lines are
// missing, and a goroutine stays that waits for the write that does not end.
// What is written later is lost.
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

// next takes the first entry out of the queue, if there is one.
func (w *Writer) next() (e entry, ok, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		e = w.queue[0]
		w.queue[0] = entry{}
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

// put writes an entry, and first what is to be said of lines that were lost
// before it. What fails is counted and not tried again: the next line is.
func (w *Writer) put(e entry) {
	w.failed.Lines += e.lost
	if w.failed.Lines > 0 {
		err := w.write(w.tell(w.failed))
		if err != nil {
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

func (w *Writer) fail(e entry, err error) {
	w.failed.Err = err
	if e.line != nil {
		w.failed.Lines++
	}
}

// write begins a new line where an earlier write was cut short.
func (w *Writer) write(line []byte) error {
	if w.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := w.out.Write(line)
	if n > 0 {
		w.torn = err != nil
	}
	return err
}
