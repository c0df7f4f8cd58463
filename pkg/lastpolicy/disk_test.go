package lastpolicy

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// limited marks the process whose files may be limited in size.
const limited = "NFTKNOCK_LASTPOLICY_LIMITED"

// A disk that is full, as the limit of the file size has it, leaves the copy that was there
// and nothing else. The limit is the whole process's, so a process of its own has it.
func TestDiskFull(t *testing.T) {
	if os.Getenv(limited) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDiskFull$")
		cmd.Env = append(os.Environ(), limited+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // so that writes fail with EFBIG instead
	dir, path := kept(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	other := parse(t, strings.Replace(text, "7300", "7400", 1))
	for size := range uint64(info.Size()) {
		limit.Cur = size
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		if err := Keep(dir, source, other); !errors.Is(err, syscall.EFBIG) {
			t.Fatalf("limit %d: got %v, want %v", size, err, syscall.EFBIG)
		}
		if got, err := Read(dir, source); err != nil || got.Policy.Accesses[0].Sequence[0].First != 7300 {
			t.Fatalf("limit %d: got %+v, %v; want the copy that was there", size, got, err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Fatalf("limit %d: %v, %v; want one file", size, names, err)
		}
	}
}
