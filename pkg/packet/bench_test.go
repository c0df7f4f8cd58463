package packet

import "testing"

func BenchmarkDecode(b *testing.B) {
	syn := segment(linuxOptions, "")
	for _, test := range []struct {
		name  string
		bytes []byte
	}{
		{"SYN4", ip4(TCP, syn)},
		{"SYN6", ip6(6, syn)},
		{"UDP", ip4(UDP, datagram("0123456789abcdef0123456789abcdef"))},
		{"ICMP", ip4(ICMP, echo(8, "0123456789abcdef0123456789abcdef"))},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			var p Packet
			for b.Loop() {
				if err := Decode(test.bytes, &p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOptions(b *testing.B) {
	options := Options(linuxOptions)
	b.ReportAllocs()
	for b.Loop() {
		for _, rest, ok := options.Next(); ok; _, rest, ok = rest.Next() {
		}
	}
}
