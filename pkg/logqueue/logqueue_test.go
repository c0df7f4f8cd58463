package logqueue

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// reader is the writer under a Writer. It can block, fail, and write part of a line.
type reader struct {
	mu      sync.Mutex
	b       strings.Builder
	stalled chan struct{} // a write waits until it is closed
	err     error         // of every write
	part    int           // bytes that a failing write takes
	begun   int           // writes
	ended   int
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	stalled := r.stalled
	r.begun++
	r.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended++
	if r.err != nil {
		n := min(r.part, len(p))
		r.b.Write(p[:n])
		return n, r.err
	}
	return r.b.Write(p)
}

func (r *reader) set(err error, part int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.part = err, part
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (r *reader) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		r.mu.Lock()
		ok := holds()
		r.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not in 10 s: %s", what)
}

// tell formats a Gap for comparison.
func tell(g Gap) []byte {
	if g.Err != nil {
		return fmt.Appendf(nil, "lost %d: %v\n", g.Lines, g.Err)
	}
	return fmt.Appendf(nil, "lost %d\n", g.Lines)
}

func write(t *testing.T, w *Writer, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
		t.Fatalf("wrote %d of %d, %v", n, len(line), err)
	}
}

func TestLinesKeepTheirOrder(t *testing.T) {
	r := new(reader)
	w := New(r, tell)
	var want strings.Builder
	for i := range 1000 {
		write(t, w, "line %d\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
	}
	w.Close()
	if got := r.String(); got != want.String() {
		t.Errorf("got\n%s", got)
	}
}

// A reader that blocks does not block Write, the queue stays within its bounds, and the
// lost lines are reported in their place.
func TestAStalledReader(t *testing.T) {
	r := &reader{stalled: make(chan struct{})}
	w := New(r, tell)
	write(t, w, "first\n")
	r.await(t, "the first line is being written", func() bool { return r.begun == 1 })
	for i := range maxLines + 10 {
		write(t, w, "line %d\n", i)
	}
	close(r.stalled)
	r.await(t, "the loss is told", func() bool { return strings.Contains(r.b.String(), "lost 10\n") })
	write(t, w, "last\n")
	w.Close()
	if want := fmt.Sprintf("line %d\nlost 10\nlast\n", maxLines-1); !strings.HasSuffix(r.String(), want) {
		t.Errorf("the log ends in %q, want %q", r.String()[len(r.String())-40:], want)
	}
	if !strings.HasPrefix(r.String(), "first\nline 0\nline 1\n") {
		t.Errorf("the log begins with %q", r.String()[:40])
	}
}

func TestBytesAreBounded(t *testing.T) {
	r := &reader{stalled: make(chan struct{})}
	w := New(r, tell)
	write(t, w, "first\n")
	r.await(t, "the first line is being written", func() bool { return r.begun == 1 })
	for range 100 {
		write(t, w, "%s\n", strings.Repeat("x", maxBytes/10))
	}
	close(r.stalled)
	w.Close()
	if !strings.HasSuffix(r.String(), "\nlost 91\n") || len(r.String()) > maxBytes+100 {
		t.Errorf("%d bytes were kept", len(r.String()))
	}
}

// There is one gap per time that the queue is full, not one per line.
func TestASlowReaderLeavesLongGaps(t *testing.T) {
	r := &reader{stalled: make(chan struct{})}
	w := New(r, tell)
	for i := range maxLines + 100 {
		write(t, w, "line %d\n", i)
	}
	w.next() // more than half of the queue is left
	write(t, w, "one more\n")
	close(r.stalled)
	w.Close()
	if n := strings.Count(r.String(), "lost "); n != 1 {
		t.Errorf("%d gaps, want 1", n)
	}
}

func TestWritingResumesAfterErrors(t *testing.T) {
	r := new(reader)
	full := errors.New("no space left on device")
	r.set(full, 3)
	w := New(r, tell)
	write(t, w, "line 1\n")
	r.await(t, "the first line fails", func() bool { return r.ended == 1 })
	r.set(full, 0)
	write(t, w, "line 2\n")
	r.await(t, "the second line fails", func() bool { return r.ended == 2 })
	r.set(nil, 0)
	write(t, w, "line 3\n")
	w.Close()
	if want := "lin\nlost 2: no space left on device\nline 3\n"; r.String() != want {
		t.Errorf("%q, want %q", r.String(), want)
	}
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	r := &reader{stalled: make(chan struct{})}
	defer close(r.stalled)
	w := New(r, tell)
	write(t, w, "line\n")
	w.Close()
	write(t, w, "late\n")
}
