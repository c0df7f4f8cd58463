package replay

import (
	"crypto/sha256"
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
)

// What a re-executed test binary finds in its environment instead of tests to
// run: a store, and how many tokens to spend in it.
const (
	childPath  = "NFTKNOCK_REPLAY_PATH"
	childCount = "NFTKNOCK_REPLAY_COUNT"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := spendAndTell(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// spendAndTell spends tokens from the first that the store does not have, and
// writes the number of each on standard output when it is spent.
func spendAndTell(path string) error {
	n, err := strconv.Atoi(os.Getenv(childCount))
	if err != nil {
		return err
	}
	s, err := Open(path)
	if err != nil {
		return err
	}
	for i, end := s.Len(), s.Len()+n; i < end; i++ {
		if err := s.Spend(forever(i)); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(strconv.Itoa(i) + "\n"); err != nil {
			return err
		}
	}
	return s.Close()
}

// child is the command that runs spendAndTell.
func child(path string, n int) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childPath+"="+path, fmt.Sprint(childCount, "=", n))
	cmd.Stderr = os.Stderr
	return cmd
}

// token is the n-th of endlessly many.
func token(n int) *Token {
	t := Token(sha256.Sum256([]byte(strconv.Itoa(n))))
	return &t
}

// forever spends the n-th token, which never expires, for an access that is
// counted.
func forever(n int) Spend {
	return Spend{Token: token(n), Access: "ssh", Limit: 1 << 30}
}

// epoch is where the tests' time begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// expiring spends the n-th token, which expires n seconds after epoch.
func expiring(n int) Spend {
	return Spend{Token: token(n), Expires: epoch.Add(time.Duration(n) * time.Second)}
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
func spend(tb testing.TB, s *Store, sp Spend) {
	tb.Helper()
	if err := s.Spend(sp); err != nil {
		tb.Fatal(err)
	}
}

// fill spends many tokens at once, without waiting for the disk.
func fill(tb testing.TB, s *Store, sp func(int) Spend, from, to int) {
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

// wantSpent checks that tokens from the first up to the n-th are refused.
func wantSpent(tb testing.TB, s *Store, sp func(int) Spend, n int) {
	tb.Helper()
	for i := range n {
		if err := s.Spend(sp(i)); !errors.Is(err, ErrSpent) {
			tb.Fatalf("token %d of %d: got %v, want %v", i, n, err, ErrSpent)
		}
	}
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
