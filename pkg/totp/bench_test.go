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

// The work of a daemon with 10,000 users at the beginning of a step.
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
