package spa

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func BenchmarkPlausible(b *testing.B) {
	v, _ := vectorNamed(b, "v1")
	for name, payload := range map[string]string{
		"length":    strings.Repeat("A", 60),
		"beginning": strings.Repeat("A", 225),
		"end":       v.payload[:224] + "=",
		"packet":    v.payload,
	} {
		b.Run(name, func(b *testing.B) {
			p := []byte(payload)
			b.ReportAllocs()
			for b.Loop() {
				Plausible(p)
			}
		})
	}
}

// BenchmarkAuthentic checks a packet of 225 bytes with SHA-256, of which 192 bytes are
// hashed.
func BenchmarkAuthentic(b *testing.B) {
	v, _ := vectorNamed(b, "v1")
	for _, h := range hashesAll {
		c := keyed(h)
		k := newKey(b, c)
		payload, err := k.Seal(v.message, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		c.HMACKey[0] ^= 1
		for name, k := range map[string]*Key{"valid": k, "invalid": newKey(b, c)} {
			b.Run(h.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if k.Authentic(payload) != (name == "valid") {
						b.Fatal("wrong answer")
					}
				}
			})
		}
	}
}

// BenchmarkKeys checks one well-formed packet against many keys, none of which is right:
// the most work that a sender without a key can cause.
func BenchmarkKeys(b *testing.B) {
	v, _ := vectorNamed(b, "v1")
	payload := []byte(v.payload)
	authentic := func(k *Key) bool { return k.Authentic(payload) }
	opens := func(k *Key) bool { _, _, err := k.Open(payload); return err == nil }
	for _, way := range []struct {
		name   string
		change func(Config) Config
		try    func(*Key) bool
	}{
		{"hmac", func(c Config) Config { return c }, authentic},
		{"none", without, opens},
	} {
		for _, n := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", way.name, n), func(b *testing.B) {
				keys := make([]*Key, n)
				for i := range keys {
					c := keyed(SHA256)
					binary.BigEndian.PutUint32(c.HMACKey, uint32(i))
					binary.BigEndian.PutUint32(c.Key, uint32(i))
					keys[i] = newKey(b, way.change(c))
				}
				b.ReportAllocs()
				for b.Loop() {
					if !Plausible(payload) || slices.ContainsFunc(keys, way.try) {
						b.Fatal("wrong answer")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, name := range []string{"v1", "v3"} {
		v, k := vectorNamed(b, name)
		b.Run(name, func(b *testing.B) {
			payload := []byte(v.payload)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := k.Open(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	v, k := vectorNamed(b, "v1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(v.message, rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}
