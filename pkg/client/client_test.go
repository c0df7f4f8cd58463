package client

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder is a Transmitter that notes what it is given and when.
type recorder struct {
	start    time.Time
	elements []string
	times    []time.Duration
	fail     error // from the third element on
}

func (r *recorder) Send(_ context.Context, p Packet) error {
	if r.fail != nil && len(r.elements) == 2 {
		return r.fail
	}
	r.elements = append(r.elements, p.To.String())
	r.times = append(r.times, time.Since(r.start))
	return nil
}

func TestElementsGoInOrderAndKeepTheirDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := Knock{Packets: packets(t, "tcp/1, icmp, icmp, udp/2"), Delay: 3 * time.Second, Repeat: 1}
		r := recorder{start: time.Now()}
		var steps []int
		if err := k.Send(t.Context(), &r, func(_, step int, _ Packet) { steps = append(steps, step) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"tcp/1", "icmp", "icmp", "udp/2"}, r.elements); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]time.Duration{0, 3 * time.Second, 6 * time.Second, 9 * time.Second}, r.times); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{1, 2, 3, 4}, steps); diff != "" {
			t.Error(diff)
		}
	})
}

// packets are those of a shared knock.
func packets(t testing.TB, s string) []Packet {
	t.Helper()
	var list []Packet
	for _, e := range sequence(t, s) {
		list = append(list, Packet{To: e})
	}
	return list
}

func TestAKnockIsRepeatedAfterAPauseOfChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := Knock{Packets: packets(t, "tcp/1, udp/2"), Repeat: MaxRepeat}
		r := recorder{start: time.Now()}
		var rounds []int
		if err := k.Send(t.Context(), &r, func(round, _ int, _ Packet) { rounds = append(rounds, round) }); err != nil {
			t.Fatal(err)
		}
		pauses := make(map[time.Duration]bool)
		for i := range MaxRepeat {
			if diff := cmp.Diff([]string{"tcp/1", "udp/2"}, r.elements[2*i:2*i+2]); diff != "" {
				t.Error(diff)
			}
			if rounds[2*i] != i+1 || r.times[2*i] != r.times[2*i+1] {
				t.Errorf("round %d: numbered %d, from %s to %s", i+1, rounds[2*i], r.times[2*i], r.times[2*i+1])
			}
			if i == 0 {
				continue
			}
			gap := r.times[2*i] - r.times[2*i-1]
			if gap < 150*time.Millisecond || gap > 450*time.Millisecond {
				t.Errorf("pause of %s", gap)
			}
			pauses[gap] = true
		}
		if len(r.elements) != 2*MaxRepeat || len(pauses) == 1 {
			t.Errorf("%d packets, pauses %v", len(r.elements), pauses)
		}
	})
}

func TestAFailureEndsTheKnock(t *testing.T) {
	k := Knock{Packets: packets(t, "tcp/1, tcp/2, tcp/3, tcp/4"), Repeat: 2}
	broken := errors.New("broken")
	r := recorder{fail: broken}
	err := k.Send(t.Context(), &r, func(int, int, Packet) {})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if diff := cmp.Diff("packet 3 of 4 was not sent: broken", err.Error()); diff != "" {
		t.Error(diff)
	}
	if len(r.elements) != 2 {
		t.Errorf("sent %v", r.elements)
	}
}

func TestAnInterruptEndsTheKnockInItsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := Knock{Packets: packets(t, "tcp/1, tcp/2, tcp/3"), Delay: time.Minute, Repeat: 2}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start := time.Now()
		err := k.Send(ctx, &recorder{}, func(int, int, Packet) {})
		if err == nil || err.Error() != "interrupted after 2 of 6 packets" {
			t.Error(err)
		}
		if got := time.Since(start); got != 90*time.Second {
			t.Errorf("it took %s", got)
		}
	})
}

func TestVerify(t *testing.T) {
	addr := netip.MustParseAddrPort("10.3.2.1:22")
	refused := errors.New("refused")
	for _, tt := range []struct {
		name   string
		opens  time.Duration // after the start
		silent bool          // a closed port swallows SYNs instead of refusing
		took   time.Duration
		err    error
	}{
		{"ok open at once", 0, true, 0, nil},
		{"ok refused at first", 250 * time.Millisecond, false, 300 * time.Millisecond, nil},
		{"ok filtered at first", 250 * time.Millisecond, true, 300 * time.Millisecond, nil},
		{"bad refused", time.Hour, false, 0, ErrClosed},
		{"bad filtered", time.Hour, true, 0, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				took, err := verify(t.Context(), addr, 5*time.Second, func(ctx context.Context, got netip.AddrPort) error {
					switch {
					case got != addr:
						t.Errorf("connected to %s", got)
					case time.Since(start) >= tt.opens:
						return nil
					case tt.silent:
						<-ctx.Done()
						return ctx.Err()
					}
					return refused
				})
				if took != tt.took || !errors.Is(err, tt.err) {
					t.Errorf("got %s, %v, want %s, %v", took, err, tt.took, tt.err)
				}
				if tt.err != nil && time.Since(start) != 5*time.Second {
					t.Errorf("gave up after %s", time.Since(start))
				}
			})
		})
	}
}

func TestAnInterruptEndsVerify(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := verify(ctx, netip.AddrPort{}, time.Hour, func(context.Context, netip.AddrPort) error {
		cancel()
		return errors.New("refused")
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
