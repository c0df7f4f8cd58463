package knock_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/seal"
	"nftknock/pkg/spa"
	"nftknock/pkg/totp"
)

// scaled is a kind of knock with any number of keys.
type scaled struct {
	access func(n uint32) knock.Access
	// knock is a whole one with a key.
	knock func(key uint32, src netip.Addr, at time.Time) []*packet.Packet
}

// stranger is the number of a key that no access has.
const stranger = 1 << 20

// memo makes the n-th key once.
func memo[K any](make func(n uint32) K) func(uint32) K {
	keys := map[uint32]K{}
	return func(n uint32) K {
		k, ok := keys[n]
		if !ok {
			k = make(n)
			keys[n] = k
		}
		return k
	}
}

func kinds(b *testing.B) map[string]scaled {
	siv := memo(func(n uint32) *seal.SIV { return sivKey(b, n) })
	code := memo(func(n uint32) *totp.Secret { return totpSecret(b, n) })
	single := memo(func(n uint32) *spa.Key { return spaKey(b, n) })
	return map[string]scaled{
		"siv": {
			func(n uint32) knock.Access { return sivAccess(siv(n)) },
			func(n uint32, src netip.Addr, at time.Time) []*packet.Packet {
				return burst(src, token(b, siv(n), knockSSH(at)), udp)
			},
		},
		"totp": {
			func(n uint32) knock.Access { return totpAccess(fmt.Sprint(n), code(n)) },
			func(n uint32, src netip.Addr, at time.Time) []*packet.Packet {
				return dial(src, code(n).Code(totp.Step(at)))
			},
		},
		"spa": {
			func(n uint32) knock.Access { return spaAccess(single(n)) },
			func(n uint32, src netip.Addr, at time.Time) []*packet.Packet {
				return []*packet.Packet{datagram(src, authorization(b, single(n), askSSH(at)))}
			},
		},
	}
}

// engine is one with n keys.
func (k *scaled) engine(b *testing.B, n int) *knock.Engine {
	var accesses []knock.Access
	for i := range n {
		accesses = append(accesses, k.access(uint32(i)))
	}
	return engine(b, knock.Config{Accesses: accesses, MaxSources: 1 << 16})
}

// BenchmarkScale takes the time of whole knocks, a second apart from each other.
// What a new step costs is left to BenchmarkNewStep.
func BenchmarkScale(b *testing.B) {
	all := kinds(b)
	for _, kind := range []string{"siv", "totp", "spa"} {
		for _, validity := range []string{"valid", "invalid"} {
			for _, keys := range []int{1, 100, 10_000} {
				b.Run(fmt.Sprintf("%s/%s/%d", kind, validity, keys), func(b *testing.B) {
					k := all[kind]
					k.measure(b, keys, validity == "valid")
				})
			}
		}
	}
}

func (k *scaled) measure(b *testing.B, keys int, valid bool) {
	e := k.engine(b, keys)
	granted := 0
	for i := uint32(0); b.Loop(); i++ {
		b.StopTimer()
		at := epoch.Add(time.Duration(i) * time.Second)
		sendAt(e, at, k.knock(stranger+1, carol, at)) // makes a new step ready
		n := uint32(stranger)
		if valid {
			n = i * 7919 % uint32(keys)
		}
		packets := k.knock(n, address(i), at)
		b.StartTimer()
		for _, p := range packets {
			for _, v := range e.Handle(at, p) {
				if v.Granted() {
					granted++
				}
			}
		}
	}
	// A wrong code is by chance the right one of 10,000 accesses once in 3,333 times.
	if valid && granted != b.N || !valid && granted > b.N/500 {
		b.Fatalf("%d of %d granted", granted, b.N)
	}
	if n := e.Stats().Untried; n != 0 {
		b.Fatalf("%d untried", n)
	}
}

// BenchmarkNewStep takes the time of the packet that has the hints or codes of a
// new half minute made.
func BenchmarkNewStep(b *testing.B) {
	all := kinds(b)
	for _, kind := range []string{"siv", "totp"} {
		for _, keys := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, keys), func(b *testing.B) {
				k := all[kind]
				e := k.engine(b, keys)
				sendAt(e, epoch, k.knock(stranger, carol, epoch)) // the steps around it too
				for i := uint32(1); b.Loop(); i++ {
					b.StopTimer()
					at := epoch.Add(time.Duration(i) * totp.Period)
					packets := k.knock(stranger, address(i), at)
					last := len(packets) - 1
					sendAt(e, at, packets[:last])
					b.StartTimer()
					e.Handle(at, packets[last])
				}
			})
		}
	}
}
