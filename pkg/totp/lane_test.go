package totp

import (
	"math/rand/v2"
	"testing"
)

func TestPortsOfACode(t *testing.T) {
	tests := []struct {
		base  uint16
		code  uint32
		pairs [4]int
		ports [4]uint16
	}{
		{DefaultBase, 12345678, [4]int{12, 34, 56, 78}, [4]uint16{40012, 40134, 40256, 40378}},
		{DefaultBase, 7081804, [4]int{7, 8, 18, 4}, [4]uint16{40007, 40108, 40218, 40304}},
		{DefaultBase, 0, [4]int{0, 0, 0, 0}, [4]uint16{40000, 40100, 40200, 40300}},
		{DefaultBase, 42, [4]int{0, 0, 0, 42}, [4]uint16{40000, 40100, 40200, 40342}},
		{1, 0, [4]int{0, 0, 0, 0}, [4]uint16{1, 101, 201, 301}},
		{MaxBase, 99999999, [4]int{99, 99, 99, 99}, [4]uint16{65235, 65335, 65435, 65535}},
	}
	for _, tt := range tests {
		if got := Pairs(tt.code); got != tt.pairs {
			t.Errorf("%08d: pairs %v, want %v", tt.code, got, tt.pairs)
		}
		if got := Join(tt.pairs); got != tt.code {
			t.Errorf("%v: code %08d, want %08d", tt.pairs, got, tt.code)
		}
		if got := Ports(tt.base, tt.code); got != tt.ports {
			t.Errorf("%d, %08d: ports %v, want %v", tt.base, tt.code, got, tt.ports)
		}
	}
}

func TestJoinIsTheInverseOfPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		code := random.Uint32N(codes)
		if got := Join(Pairs(code)); got != code {
			t.Fatalf("%08d comes back as %08d", code, got)
		}
	}
}

func TestNoPortsOutsideTheBases(t *testing.T) {
	for _, base := range []uint16{0, MaxBase + 1, 65535} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("base %d has ports", base)
				}
			}()
			Ports(base, 0)
		}()
	}
}
