package spent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func TestKilled(t *testing.T) {
	for _, together := range []int{1, 8} {
		t.Run(fmt.Sprint(together, " together"), func(t *testing.T) { killed(t, together) })
	}
}

func killed(t *testing.T, together int) {
	path := newPath(t)
	random := rand.New(rand.NewPCG(1, uint64(together)))
	j := job{Path: path, Many: 1 << 30, Together: together}
	var told []int // tokens that children said were spent
	before := 0    // tokens in the store
	for range rounds(10, 40) {
		said := spendUntilKilled(t, child(j), random)
		told = append(told, said...)
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		// Those of one time more may be on disk, whose Spends had not returned.
		if n := s.Len() - before; n < len(said) || n > len(said)+together {
			t.Errorf("%d tokens are there, %d were told", n, len(said))
		}
		for _, n := range told {
			if err := s.Spend(ctx, forever(n)); !errors.Is(err, ErrSpent) {
				t.Fatalf("token %d: got %v, want %v", n, err, ErrSpent)
			}
		}
		if n, err := honoured(s, "ssh"); n != s.Len() || err != nil {
			t.Errorf("%d honoured, %v, want %d", n, err, s.Len())
		}
		before = s.Len()
		s.Close()
		j.First += len(said) + together
	}
	t.Logf("%d tokens", len(told))
}

// spendUntilKilled runs a child, kills it at a random moment, and returns the
// tokens that it said were spent.
func spendUntilKilled(t *testing.T, cmd *exec.Cmd, random *rand.Rand) (told []int) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	patience := random.IntN(10)
	for said := bufio.NewScanner(out); said.Scan(); {
		n, err := strconv.Atoi(said.Text())
		if err != nil {
			t.Fatal(err)
		}
		if len(told) == patience {
			time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
			_ = cmd.Process.Kill() // fails when it ended, which Wait tells
		}
		told = append(told, n)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("it ended by itself: %v", err)
	}
	return told
}

// A change is the file before and after one transaction.
type change struct {
	before, after []byte
	spent         int // tokens before
}

// changes are transactions of several kinds, with those that split pages.
func changes(t *testing.T) []change {
	path := newPath(t)
	s := open(t, path)
	var list []change
	step := func(n int, f func()) {
		before := readFile(t, path)
		f()
		list = append(list, change{before, readFile(t, path), n})
	}
	for i := range 150 {
		step(i, func() { spend(t, s, forever(i)) })
	}
	fill(t, s, func(i int) Entry { return expiring(1000 + i) }, 0, 200)
	for i := range 4 {
		step(150, func() {
			if _, err := s.Prune(epoch.Add(time.Duration(1050+50*i) * time.Second)); err != nil {
				t.Fatal(err)
			}
		})
	}
	return list
}

// differing are the pages in which a change consists, meta pages apart, and the
// meta page.
func (c *change) differing() (data []int, meta int) {
	for at := 0; at < len(c.after); at += os.Getpagesize() {
		end := at + os.Getpagesize()
		if end <= len(c.before) && bytes.Equal(c.before[at:end], c.after[at:end]) {
			continue
		}
		if n := at / os.Getpagesize(); n < 2 {
			meta = n
		} else {
			data = append(data, n)
		}
	}
	return data, meta
}

// Before the first sync of a transaction, any of its pages may have reached the
// disk and any may not. None matters: the store is as it was before.
func TestPowerLostBeforeDataSync(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	path := newPath(t)
	for _, c := range changes(t) {
		data, _ := c.differing()
		for range rounds(1, 4) {
			b := make([]byte, len(c.after))
			copy(b, c.before)
			for _, n := range data {
				if random.IntN(2) == 0 {
					at := n * os.Getpagesize()
					copy(b[at:at+os.Getpagesize()], c.after[at:])
				}
			}
			wantWhole(t, path, b, c.spent)
		}
	}
}

// Between the first sync and the second, the meta page may be torn: the store is
// as it was before, so one token may be missing whose Spend had not returned.
func TestPowerLostBeforeMetaSync(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	path := newPath(t)
	for _, c := range changes(t) {
		_, meta := c.differing()
		at := meta * os.Getpagesize()
		for range rounds(1, 4) {
			b := bytes.Clone(c.after)
			copy(b[at:], c.before[at:at+os.Getpagesize()])
			torn := at + pageHeaderSize + random.IntN(metaSize)
			copy(b[at:torn], c.after[at:torn])
			wantWhole(t, path, b, c.spent)
		}
	}
}

// Any bit of the newest meta page may be wrong.
func TestNewestMetaDamaged(t *testing.T) {
	path := newPath(t)
	list := changes(t)
	c := list[len(list)-1]
	_, meta := c.differing()
	at := meta*os.Getpagesize() + pageHeaderSize
	for bit := 0; bit < metaSize*8; bit += rounds(5, 1) {
		b := bytes.Clone(c.after)
		b[at+bit/8] ^= 1 << (bit % 8)
		wantWhole(t, path, b, c.spent)
	}
}

// wantWhole checks that a file opens, has the first n tokens, and takes a new one.
func wantWhole(t *testing.T, path string, b []byte, n int) {
	t.Helper()
	writeStore(t, path, b)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.db.NoSync = true
	wantSpent(t, s, forever, n)
	spend(t, s, forever(5000))
	if err := s.Spend(ctx, forever(5000)); !errors.Is(err, ErrSpent) {
		t.Fatalf("the new token: got %v, want %v", err, ErrSpent)
	}
}

// rotten is a store with many pages and the number of tokens in it that each of
// its meta pages knows.
func rotten(t testing.TB) (b []byte, known int) {
	path := newPath(t)
	s := open(t, path)
	known = 400
	fill(t, s, expiring, 1000, 1400)
	fill(t, s, forever, 0, known)
	if _, err := s.Prune(epoch.Add(1100 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		spend(t, s, Entry{Token: token(2000 + i), Access: fmt.Sprint("access ", i), Limit: 5})
	}
	return readFile(t, path), known
}

// wantRefused checks that a file which may be damaged gives errors, or what is
// right.
func wantRefused(t *testing.T, path string, b []byte, known int) (opened bool) {
	t.Helper()
	writeStore(t, path, b)
	s, err := Open(path)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("got %v, want %v", err, ErrDamaged)
		}
		return false
	}
	defer s.Close()
	s.db.NoSync = true
	wantSpent(t, s, forever, known)
	spend(t, s, forever(5000))
	if err := s.Spend(ctx, forever(5000)); !errors.Is(err, ErrSpent) {
		t.Fatalf("the new token: got %v, want %v", err, ErrSpent)
	}
	if _, err := s.Prune(epoch.Add(2000 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return true
}

func TestTruncated(t *testing.T) {
	whole, known := rotten(t)
	path := newPath(t)
	opened := 0
	for size := 0; size <= len(whole); size += os.Getpagesize() {
		for _, odd := range []int{0, 1, 100} {
			if wantRefused(t, path, whole[:max(0, size-odd)], known) {
				opened++
			}
		}
	}
	t.Logf("%d pages, opened %d times", len(whole)/os.Getpagesize(), opened)
}

// Whatever bytes of a page were altered: when both meta pages know a token, it is
// refused, or everything is.
func TestGarbage(t *testing.T) {
	whole, known := rotten(t)
	path := newPath(t)
	random := rand.New(rand.NewPCG(7, 8))
	size := os.Getpagesize()
	opened := 0
	tries := rounds(150, 1000)
	for i := range tries {
		b := bytes.Clone(whole)
		at := random.IntN(len(b)/size) * size
		switch p := b[at : at+size]; i % 5 {
		case 0: // a bit
			p[random.IntN(size)] ^= 1 << random.IntN(8)
		case 1: // a byte of the header or of an early element
			p[random.IntN(64)] = byte(random.Uint32())
		case 2: // a stretch
			for j := random.IntN(size); j < size && random.IntN(50) > 0; j++ {
				p[j] = byte(random.Uint32())
			}
		case 3: // a page never written
			clear(p)
		case 4: // a page of another place
			copy(p, b[random.IntN(len(b)/size)*size:])
		}
		if wantRefused(t, path, b, known) {
			opened++
		}
	}
	t.Logf("%d of %d were damaged where it does not matter", opened, tries)
}

// A single altered bit in any token, expiry or count is found.
func TestEveryEntryIsVerified(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	spend(t, s, Entry{Token: token(1), Expires: epoch, Access: "ssh", Limit: 1})
	whole := readFile(t, path)
	im, err := readImage(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	root := int(im.meta.root) * os.Getpagesize()
	leaf := whole[root : root+os.Getpagesize()]
	for _, entry := range [][]byte{
		token(1)[:], number(epoch.Unix()), []byte("ssh"), versionKey, ledgerKey,
	} {
		for at := 0; ; at++ {
			next := bytes.Index(leaf[at:], entry)
			if next < 0 {
				break
			}
			at += next
			for bit := range len(entry) * 8 {
				b := bytes.Clone(whole)
				b[root+at+bit/8] ^= 1 << (bit % 8)
				if _, err := verify(bytes.NewReader(b), int64(len(b))); err == nil {
					t.Errorf("bit %d of %q at %d was altered unseen", bit, entry, at)
				}
			}
		}
	}
}

func TestNotAStore(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":      {},
		"text":       []byte("spent\n"),
		"zeros":      make([]byte, 1<<16),
		"other bolt": otherBolt(t),
	} {
		path := newPath(t)
		writeStore(t, path, b)
		_, err := Open(path)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want %v", name, err, ErrDamaged)
			continue
		}
		for _, want := range []string{path, "restore", "renew the keys"} {
			if !bytes.Contains([]byte(err.Error()), []byte(want)) {
				t.Errorf("%s: %q lacks %q", name, err, want)
			}
		}
		if got := readFile(t, path); !bytes.Equal(got, b) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// otherBolt is a sound bbolt file of another program.
func otherBolt(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := openDB(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("members"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return readFile(t, path)
}

func TestNewerVersionIsNotDamage(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(versionKey, number(version+1))
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := Open(path)
	if err == nil || errors.Is(err, ErrDamaged) || !errors.Is(err, errVersion) {
		t.Errorf("got %v, want %v", err, errVersion)
	}
}
