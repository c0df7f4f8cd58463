package spent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
)

// childJob is what a re-executed test binary finds in its environment instead of
// tests to run: a job in JSON.
const childJob = "NFTKNOCK_SPENT_JOB"

// A job is tokens to spend in a store.
type job struct {
	Path        string
	First, Many int // tokens
	Together    int // that are spent at the same time
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childJob); text != "" {
		if err := spendAndTell(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// spendAndTell does a job: it spends as many tokens as belong together, writes the
// number of each on standard output when all are spent, and goes on.
func spendAndTell(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	s, err := Open(j.Path)
	if err != nil {
		return err
	}
	for n := j.First; n < j.First+j.Many; n += j.Together {
		var all errgroup.Group
		lines := ""
		for i := range j.Together {
			all.Go(func() error { return s.Spend(ctx, forever(n+i)) })
			lines += strconv.Itoa(n+i) + "\n"
		}
		if err := all.Wait(); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(lines); err != nil {
			return err
		}
	}
	return s.Close()
}

// child is the command that does a job.
func child(j job) *exec.Cmd {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childJob+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

// ctx is that of Spends that have all the time they need.
var ctx = context.Background()

// rounds is a number of rounds, or a step between positions, for tests with random
// damage or many positions: few, or all with NFTKNOCK_THOROUGH=1 in the environment,
// which .ci/run sets. With the race detector on a busy machine, all take more than a
// minute.
func rounds(few, all int) int {
	if os.Getenv("NFTKNOCK_THOROUGH") == "1" {
		return all
	}
	return few
}

// token is the n-th of endlessly many.
func token(n int) *Token {
	t := Token(sha256.Sum256([]byte(strconv.Itoa(n))))
	return &t
}

// forever spends the n-th token, which never expires, for an access that is
// counted.
func forever(n int) Entry {
	return Entry{Token: token(n), Access: "ssh", Limit: 1 << 30}
}

// epoch is where the tests' time begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// expiring spends the n-th token, which expires n seconds after epoch.
func expiring(n int) Entry {
	return Entry{Token: token(n), Expires: epoch.Add(time.Duration(n) * time.Second)}
}

// newPath is where a store may be made.
func newPath(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "state", "spent.db")
}

func open(tb testing.TB, path string) *Store {
	tb.Helper()
	s, err := Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// spend spends what must be new.
func spend(tb testing.TB, s *Store, sp Entry) {
	tb.Helper()
	if err := s.Spend(ctx, sp); err != nil {
		tb.Fatal(err)
	}
}

// fill spends many tokens at once, without waiting for the disk.
func fill(tb testing.TB, s *Store, sp func(int) Entry, from, to int) {
	tb.Helper()
	s.db.NoSync = true
	defer func() { s.db.NoSync = false }()
	for from < to {
		err := s.use(func() error {
			return s.update(func(tx *bbolt.Tx, l *ledger) error {
				for end := min(to, from+1000); from < end; from++ {
					one := sp(from)
					if err := one.record(tx, l); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// wantSpent checks that tokens from the first up to the n-th are refused: some of
// them, so that each page with tokens is met, or all. See rounds.
func wantSpent(tb testing.TB, s *Store, sp func(int) Entry, n int) {
	tb.Helper()
	for i := 0; i < n; i += rounds(7, 1) {
		if err := s.Spend(ctx, sp(i)); !errors.Is(err, ErrSpent) {
			tb.Fatalf("token %d of %d: got %v, want %v", i, n, err, ErrSpent)
		}
	}
}

// honoured returns how many knocks of an access were spent with a Limit.
func honoured(s *Store, access string) (n int, err error) {
	err = s.use(func() error {
		return s.view(func(tx *bbolt.Tx) error {
			n = count(tx, access)
			return nil
		})
	})
	return n, err
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// writeStore makes a file that Open may or may not take.
func writeStore(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	// Made anew: ext4 would write a file to the disk that replaces its content.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}
