package uninstall

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nftknock/pkg/gate"
)

// table is one that can be there, and that a daemon may restore.
type table struct {
	there, restored bool
	broken          error
}

func (t *table) Exists() (bool, error) { return t.there, t.broken }

func (t *table) Remove() error {
	t.there = t.restored
	return nil
}

func TestTableIsRemovedUnlessADaemonRuns(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	broken := errors.New("broken")
	for _, tt := range []struct {
		name    string
		socket  string
		table   table
		open    error
		removed bool
		err     error
		there   bool // afterwards
	}{
		{name: "ok a table", table: table{there: true}, removed: true},
		{name: "ok a socket that is not there", socket: "/nonexistent/control.sock", table: table{there: true}, removed: true},
		{name: "ok no table"},
		{name: "bad someone listens on the socket", socket: socket, table: table{there: true}, err: ErrRunning, there: true},
		{name: "bad someone owns the table", open: gate.ErrOwned, table: table{there: true}, err: ErrRunning, there: true},
		{name: "bad someone restores it", table: table{there: true, restored: true}, err: ErrRunning, there: true},
		{name: "bad another program's table", open: gate.ErrForeign, table: table{there: true}, err: gate.ErrForeign, there: true},
		{name: "bad kernel", table: table{there: true, broken: broken}, err: broken, there: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			removed, err := Run(Config{Socket: tt.socket, Open: func() (Table, error) { return &tt.table, tt.open }})
			if removed != tt.removed || !errors.Is(err, tt.err) || tt.table.there != tt.there {
				t.Errorf("removed %v, %v, table there: %v; want %v, %v, %v", removed, err, tt.table.there, tt.removed, tt.err, tt.there)
			}
		})
	}
}

func TestStateFilesAreRemovedAndNoOthers(t *testing.T) {
	names := []string{"spent.db", "policy"}
	make := func(files ...string) string {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	t.Run("ok all ours", func(t *testing.T) {
		dir := make("spent.db")
		removed, left, err := State(dir, names)
		if err != nil || left || !slices.Equal(removed, []string{filepath.Join(dir, "spent.db")}) {
			t.Errorf("removed %v, left %v, %v", removed, left, err)
		}
	})
	t.Run("ok others stay", func(t *testing.T) {
		dir := make("spent.db", "policy", "photographs")
		removed, left, err := State(dir, names)
		if err != nil || !left || len(removed) != 2 {
			t.Errorf("removed %v, left %v, %v", removed, left, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "photographs")); err != nil {
			t.Error(err)
		}
	})
	t.Run("ok what was left half done", func(t *testing.T) {
		dir := make(".spent.new-123", ".spent.newer")
		removed, left, err := State(dir, []string{".spent.new-*"})
		if err != nil || !left || !slices.Equal(removed, []string{filepath.Join(dir, ".spent.new-123")}) {
			t.Errorf("removed %v, left %v, %v", removed, left, err)
		}
	})
	t.Run("ok a link, and not its target", func(t *testing.T) {
		dir, elsewhere := make(), make("photographs")
		target := filepath.Join(elsewhere, "photographs")
		if err := os.Symlink(target, filepath.Join(dir, "spent.db")); err != nil {
			t.Fatal(err)
		}
		if removed, left, err := State(dir, names); err != nil || left || len(removed) != 1 {
			t.Errorf("removed %v, left %v, %v", removed, left, err)
		}
		if _, err := os.Stat(target); err != nil {
			t.Error(err)
		}
	})
	t.Run("bad a file in place of the directory", func(t *testing.T) {
		dir := filepath.Join(make("state"), "state")
		if removed, left, err := State(dir, names); err == nil || !left || len(removed) != 0 {
			t.Errorf("removed %v, left %v, %v", removed, left, err)
		}
	})
	t.Run("ok nothing there", func(t *testing.T) {
		removed, left, err := State(filepath.Join(t.TempDir(), "none"), names)
		if err != nil || left || len(removed) != 0 {
			t.Errorf("removed %v, left %v, %v", removed, left, err)
		}
	})
	t.Run("bad a directory in place of a file", func(t *testing.T) {
		dir := make()
		if err := os.MkdirAll(filepath.Join(dir, "spent.db", "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, left, err := State(dir, names); err == nil || !left {
			t.Errorf("left %v, %v", left, err)
		}
	})
}
