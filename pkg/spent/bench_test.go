package spent

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkSpend waits for the disk twice per transaction. Those that spend at the
// same time share transactions.
func BenchmarkSpend(b *testing.B) {
	for _, together := range []int{1, 8, concurrency} {
		b.Run(fmt.Sprint("together=", together), func(b *testing.B) {
			s := open(b, newPath(b))
			var (
				next atomic.Int64
				all  sync.WaitGroup
			)
			b.ResetTimer()
			for range together {
				all.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := s.Spend(ctx, forever(int(i))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func BenchmarkRefusal(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint("tokens=", n), func(b *testing.B) {
			s := open(b, newPath(b))
			fill(b, s, expiring, 0, n)
			sp := expiring(n / 2)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Spend(ctx, sp); !errors.Is(err, ErrSpent) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPrune prunes a batch of a store of 100,000 each.
func BenchmarkPrune(b *testing.B) {
	const tokens = 100_000
	s := open(b, newPath(b))
	fill(b, s, expiring, 0, tokens)
	pruned := 0
	for b.Loop() {
		n, err := s.Prune(epoch.Add(time.Duration(pruned+pruneBatch-1) * time.Second))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		fill(b, s, expiring, pruned+tokens, pruned+tokens+n)
		pruned += n
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(pruned), "ns/token")
}

// BenchmarkOpen verifies the whole file.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint("tokens=", n), func(b *testing.B) {
			path := newPath(b)
			s := open(b, path)
			fill(b, s, expiring, 0, n)
			s.Close()
			for b.Loop() {
				s, err := Open(path)
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
