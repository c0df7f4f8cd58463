package totp

import "testing"

func BenchmarkCode(b *testing.B) {
	for _, alg := range []Algorithm{SHA1, SHA256} {
		b.Run(alg.String(), func(b *testing.B) {
			s := parse(b, rfcSHA1, alg)
			b.ReportAllocs()
			for step := int64(0); b.Loop(); step++ {
				s.Code(step)
			}
		})
	}
}

// What a daemon of 10,000 users does when a step begins.
func BenchmarkStep(b *testing.B) {
	for _, alg := range []Algorithm{SHA1, SHA256} {
		b.Run(alg.String(), func(b *testing.B) {
			secrets := make([]*Secret, 10_000)
			for i := range secrets {
				s, err := Generate(alg)
				if err != nil {
					b.Fatal(err)
				}
				secrets[i] = s
			}
			b.ReportAllocs()
			for step := int64(0); b.Loop(); step++ {
				for _, s := range secrets {
					s.Code(step)
				}
			}
		})
	}
}
