//go:build interop

package spent

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// What strace -f -y -o writes of the calls that matter: "PID call(FD</path>, ...",
// and "PID <... call resumed>...) = 0" where another thread came between.
var (
	straceCall   = regexp.MustCompile(`^(\d+) +(\w+)\((?:\d+<([^>]*)>)?`)
	straceResume = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
	straceResult = regexp.MustCompile(`= (-?\d+)`)
	straceReport = regexp.MustCompile(`write\(1<[^>]*>, "(\d+)\\n`)
)

// A synced tells from a trace what of the store is on the disk.
type synced struct {
	path    string
	pending map[string]string // PID to the file that it is syncing
	dirty   bool              // something was written since the last sync
	writes  int               // syncs that had something to write, since the last report
	linked  bool              // the store's name was synced
}

// take reads a line of the trace.
func (s *synced) take(line string) {
	done := straceResult.MatchString(line)
	if m := straceResume.FindStringSubmatch(line); m != nil {
		if file, ok := s.pending[m[1]]; ok && done {
			delete(s.pending, m[1])
			s.sync(file)
		}
		return
	}
	m := straceCall.FindStringSubmatch(line)
	if m == nil {
		return
	}
	switch pid, call, file := m[1], m[2], m[3]; call {
	case "pwrite64":
		if file == s.path {
			s.dirty = true
		}
	case "fdatasync", "fsync":
		if done {
			s.sync(file)
		} else {
			s.pending[pid] = file
		}
	}
}

func (s *synced) sync(file string) {
	switch file {
	case s.path:
		if s.dirty {
			s.writes++
		}
		s.dirty = false
	case filepath.Dir(s.path):
		s.linked = true
	}
}

// As strace sees it, whenever a process says that tokens are spent, all that it
// wrote for them was synced: the pages, and after them the meta page. Of those that
// are spent together, several share these syncs.
func TestInteropSyncedBeforeReturn(t *testing.T) {
	const tokens = 32
	for _, together := range []int{1, 8} {
		t.Run(fmt.Sprint(together, " together"), func(t *testing.T) {
			path, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			path = filepath.Join(path, "state", "spent.db")
			trace := straced(t, child(job{Path: path, Many: tokens, Together: together}))
			defer trace.Close()
			s := synced{path: path, pending: make(map[string]string)}
			reports, writes := 0, 0
			lines := bufio.NewScanner(trace)
			for lines.Scan() {
				m := straceReport.FindStringSubmatch(lines.Text())
				if m == nil {
					s.take(lines.Text())
					continue
				}
				if m[1] != strconv.Itoa(reports) || !s.linked || s.dirty || s.writes < 2 {
					t.Errorf("report %s, want %d: %+v", m[1], reports, s)
				}
				reports += together
				writes += s.writes
				s.writes = 0
			}
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
			if reports != tokens {
				t.Errorf("%d reports, want %d", reports, tokens)
			}
			if together > 1 && writes >= 2*tokens {
				t.Errorf("%d syncs for %d tokens, want fewer than two for each", writes, tokens)
			}
		})
	}
}

// straced runs a child and returns what strace wrote of it.
func straced(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Path, err = exec.LookPath("strace"); err != nil {
		t.Fatal(err)
	}
	cmd.Args = []string{"strace", "-f", "-y", "-s", "200", "-o", trace, "-e", "trace=pwrite64,pwritev,fdatasync,fsync,write", self}
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
