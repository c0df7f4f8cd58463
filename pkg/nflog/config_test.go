package nflog

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestConfig(t *testing.T) {
	whole := Config{Groups: []uint16{5, 6}, CopyRange: 2048, ReceiveBuffer: 1 << 20, QueueThreshold: 2, BusyThreshold: 64, Timeout: time.Second}
	for _, tt := range []struct {
		name string
		in   Config
		want Config
		err  string
	}{
		{"ok defaults", Config{Groups: []uint16{0}},
			Config{Groups: []uint16{0}, CopyRange: 256, ReceiveBuffer: 8 << 20, QueueThreshold: 1, BusyThreshold: 32, Timeout: 10 * time.Millisecond}, ""},
		{"ok all given", whole, whole, ""},
		{"ok threshold above the busy one", Config{Groups: []uint16{9, 8}, QueueThreshold: 100},
			Config{Groups: []uint16{8, 9}, CopyRange: 256, ReceiveBuffer: 8 << 20, QueueThreshold: 100, BusyThreshold: 100, Timeout: 10 * time.Millisecond}, ""},
		{"bad no group", Config{}, Config{}, "no group"},
		{"bad group twice", Config{Groups: []uint16{5, 6, 5}}, Config{}, "group 5 is listed twice"},
		{"bad copy range", Config{Groups: []uint16{5}, CopyRange: 65532}, Config{}, "copy range 65532: want at most 65531"},
		{"bad receive buffer", Config{Groups: []uint16{5}, ReceiveBuffer: -1}, Config{}, "receive buffer -1"},
		{"bad timeout", Config{Groups: []uint16{5}, Timeout: -1}, Config{}, "timeout -1ns"},
		{"bad long timeout", Config{Groups: []uint16{5}, Timeout: time.Hour}, Config{}, "timeout 1h0m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.complete()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimeoutIsRoundedUp(t *testing.T) {
	for in, want := range map[time.Duration]uint32{1: 1, 10 * time.Millisecond: 1, 10*time.Millisecond + 1: 2, time.Second: 100} {
		if got := (Config{Timeout: in}).timeout(); got != want {
			t.Errorf("%v: %d units, want %d", in, got, want)
		}
	}
}

func TestBufferSizeHoldsABatch(t *testing.T) {
	least := uint32(min(os.Getpagesize(), 8192))
	for _, tt := range []struct{ threshold, copyRange, want uint32 }{
		{1, 256, least},
		{32, 256, 32 * (256 + messageOverhead)},
		{32, maxCopyRange, 32 * (DefaultCopyRange + messageOverhead)},
		{1 << 31, maxCopyRange, maxBufferSize},
	} {
		if got := (Config{CopyRange: tt.copyRange}).bufferSize(tt.threshold); got != tt.want {
			t.Errorf("%d packets of %d bytes: %d, want %d", tt.threshold, tt.copyRange, got, tt.want)
		}
	}
}

func TestPace(t *testing.T) {
	var p pace
	now, packets := time.Now(), uint64(0)
	for i, step := range []struct {
		rate int // packets per second, for the time
		time time.Duration
		busy bool
	}{
		{0, 0, false},
		{1_000, 100 * time.Millisecond, false},
		{100_000, 10 * time.Millisecond, false}, // too short to tell
		{100_000, 100 * time.Millisecond, true},
		{5_000, 100 * time.Millisecond, true},
		{1_000, 100 * time.Millisecond, false},
		{5_000, 100 * time.Millisecond, false},
		{20_000, 100 * time.Millisecond, true},
		{0, time.Hour, false},
	} {
		now, packets = now.Add(step.time), packets+uint64(step.rate)*uint64(step.time)/uint64(time.Second)
		was := p.busy
		changed := p.observe(now, packets)
		if p.busy != step.busy || changed != (p.busy != was) {
			t.Errorf("step %d: busy %v, changed %v", i, p.busy, changed)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	dial := func(errno unix.Errno) error { return dialError(os.NewSyscallError("socket", errno)) }
	for _, tt := range []struct {
		name string
		err  error
		is   error
		says string
	}{
		{"no netlink of netfilter", dial(unix.EPROTONOSUPPORT), ErrUnsupported, "modprobe nfnetlink_log"},
		{"netlink forbidden", dial(unix.EAFNOSUPPORT), ErrUnsupported, "RestrictAddressFamilies"},
		{"no file left", dial(unix.EMFILE), unix.EMFILE, "netlink socket"},
		{"no subsystem", bindError(5, unix.EINVAL, yes), ErrUnsupported, "modprobe nfnetlink_log"},
		{"not supported", bindError(5, unix.EOPNOTSUPP, yes), ErrUnsupported, "CONFIG_NETFILTER_NETLINK_LOG"},
		{"taken", bindError(5, unix.EPERM, yes), ErrGroupTaken, "another number with group in [nflog]"},
		{"taken by ourselves", bindError(5, unix.EBUSY, yes), ErrGroupTaken, "ulogd2"},
		{"no capability", bindError(5, unix.EPERM, no), ErrPermission, "CAP_NET_ADMIN"},
		{"no memory", bindError(5, unix.ENOMEM, yes), unix.ENOMEM, "group 5: bind"},
	} {
		if !errors.Is(tt.err, tt.is) || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: %v, want %v that says %q", tt.name, tt.err, tt.is, tt.says)
		}
	}
	// The error wraps the error of the system.
	if err := bindError(5, unix.EINVAL, yes); !errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v is not EINVAL", err)
	}
}

func TestListenerPort(t *testing.T) {
	const table = "    5   4242     0 2   256      1  1\n   16 4294963197     0 2    64    100  1\nnonsense\n"
	for group, want := range map[uint16]uint32{5: 4242, 16: 4294963197, 6: 0} {
		if got, ok := listenerPort(strings.NewReader(table), group); got != want && ok || ok != (want != 0) {
			t.Errorf("group %d: port %d, %v, want %d", group, got, ok, want)
		}
	}
}
