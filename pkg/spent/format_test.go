package spent

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"testing"
	"time"
)

// A store that an earlier program wrote opens: testdata/version1.db.gz has the
// tokens 0 to 2, which never expire and were counted, and 10 to 29, which expire,
// of which 10 to 14 were pruned.
func TestOpensWhatWasWrittenBefore(t *testing.T) {
	if os.Getpagesize() != 4096 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		const why = "bbolt's files have the page size and byte order of their host"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	file, err := os.Open("testdata/version1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := newPath(t)
	writeStore(t, path, b)
	s := open(t, path)
	if n := s.Len(); n != 18 {
		t.Errorf("%d tokens, want 18", n)
	}
	if n, err := honoured(s, "ssh"); n != 3 || err != nil {
		t.Errorf("honoured %d times, %v, want 3", n, err)
	}
	wantSpent(t, s, forever, 3)
	wantSpent(t, s, func(i int) Entry { return expiring(15 + i) }, 15)
	wantErr(t, s.Spend(ctx, expiring(14)), ErrStale)
	spend(t, s, expiring(30))
	if n, err := s.Prune(epoch.Add(time.Hour)); n != 16 || err != nil {
		t.Errorf("pruned %d, %v, want 16", n, err)
	}
}
