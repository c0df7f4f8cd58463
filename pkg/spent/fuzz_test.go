package spent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"os"
	"testing"
	"time"
)

// An edit of a file is four bytes: a page, an offset in it (2), the new value.
const editSize = 4

func edit(b, edits []byte) {
	for ; len(edits) >= editSize; edits = edits[editSize:] {
		at := int(edits[0])*os.Getpagesize() + int(binary.BigEndian.Uint16(edits[1:]))
		if at < len(b) {
			b[at] = edits[3]
		}
	}
}

// FuzzOpen: whatever is edited in a file or cut off it, nothing panics; what
// opens works; and a token that both its meta pages know is refused, unless the
// meta pages were mended: they may then lead to a state before it was spent.
func FuzzOpen(f *testing.F) {
	const known = 3
	path := newPath(f)
	s := open(f, path)
	fill(f, s, forever, 0, known)
	var files [][]byte
	keep := func() { files = append(files, readFile(f, path)) }
	for i := range 4 {
		spend(f, s, Entry{Token: token(100 + i), Expires: epoch.Add(time.Duration(i) * time.Second), Access: "ssh", Limit: 9})
		keep()
	}
	if _, err := s.Prune(epoch); err != nil {
		f.Fatal(err)
	}
	keep()
	fill(f, s, expiring, 200, 300) // branch pages
	keep()
	for i := range files {
		f.Add(byte(i), uint(0), []byte{}, false)
		f.Add(byte(i), uint(os.Getpagesize()), []byte{2, 0, 0, 1}, false)
		f.Add(byte(i), uint(0), []byte{0, 0, 56, 9, 1, 0, 48, 9}, true)
	}
	f.Fuzz(func(t *testing.T, file byte, cut uint, edits []byte, mended bool) {
		b := bytes.Clone(files[int(file)%len(files)])
		b = b[:uint(len(b))-min(cut, uint(len(b)))]
		edit(b, edits)
		if mended {
			mend(b)
		}
		path := newPath(t)
		writeStore(t, path, b)
		s, err := Open(path)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, errVersion) {
				t.Fatal(err)
			}
			return
		}
		s.db.NoSync = true
		for i := range known {
			if err := s.Spend(ctx, forever(i)); !errors.Is(err, ErrSpent) && !mended {
				t.Fatalf("token %d: got %v, want %v", i, err, ErrSpent)
			}
		}
		exercise(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		open(t, path)
	})
}

// exercise checks that a sound store works.
func exercise(t *testing.T, s *Store) {
	t.Helper()
	n := s.Len()
	sp := Entry{Token: token(5000), Expires: epoch.AddDate(1000, 0, 0), Access: "new", Limit: 1}
	spend(t, s, sp)
	if err := s.Spend(ctx, sp); !errors.Is(err, ErrSpent) {
		t.Fatalf("the new token: got %v, want %v", err, ErrSpent)
	}
	if got, err := honoured(s, "new"); got != 1 || err != nil {
		t.Fatalf("honoured %d times, %v, want 1", got, err)
	}
	removed, err := s.Prune(epoch.AddDate(2000, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != n+1-removed {
		t.Fatalf("%d tokens, want %d+1-%d", s.Len(), n, removed)
	}
	if err := s.Spend(ctx, sp); !errors.Is(err, ErrStale) {
		t.Fatalf("the pruned token: got %v, want %v", err, ErrStale)
	}
}

// mend makes the checksums of the meta pages right, so that what they say is
// looked at.
func mend(b []byte) {
	for at := pageHeaderSize; at+metaSize <= len(b) && at < 2*os.Getpagesize(); at += os.Getpagesize() {
		m := b[at : at+metaSize]
		sum := fnv.New64a()
		sum.Write(m[:metaSize-8])
		binary.NativeEndian.PutUint64(m[metaSize-8:], sum.Sum64())
	}
}
