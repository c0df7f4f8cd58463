package spa

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Packets made with Debian's fwknop-client 2.6.10-16, whose server took those that
// it was fed.
var vectors = []vector{
	{
		name: "v1", config: keyed(SHA256),
		payload: "8ycKesT2ro8kts8aTmPzFYBnXOU0WRVKFvTNjLJWzw02TSyAMf2xCBjPqxLHyKDCVoYE+LMQXA6hKrq/1chREliWS8" +
			"tPpRL6+y1XfvwRQIbZUA2yhORplcoVrvDriWwlY3Qeu6Hq/8OyoXnbTw2jVe5ILFzKGFx3qmJOjMN4fjz3HoZuiP2L" +
			"ZAYzgpVeBcB1dIk0F2NJXIe3ILXm7elOo3euLB21w/gIc",
		salt: "3270a7ac4f6ae8f2",
		text: "1546917948995656:dmVjdXNlcg:1795421412:3.0.0:1:MTkyLjAuMi43Nyx0Y3AvMjI:qpLXu3n3yxH+/313STPmrGY22zFRLb4E8hbsugXUGRE",
		message: Message{
			Random: "1546917948995656", User: "vecuser", Time: unix(1795421412), Version: "3.0.0",
			Type: Access, Address: netip.MustParseAddr("192.0.2.77"),
			Services: []port.Range{port.Single(packet.TCP, 22)},
			Digest:   SHA256,
		},
	},
	{
		name: "v2", config: keyed(SHA512),
		payload: "+QVeQZxoONfZN6pku/2EbGpGS23e3VT4SR//eyDeUqKjK+td9cmHPsvAXkmzednYws+yTiZaVtoQPqiHuoCgxdebZV" +
			"IPr3qedEDHqpIeIWn41kALMssVqwIyzVUmssWPS0YUf6TdzZz1vJbukNOzox8x65sup4re56fAXlbi4SdC9AbRQoMJ" +
			"ShIp7rKj+GedzJahEr1sM1GFVWgrSZ4vMqUyJIWujzWYI1OO8jF5G6G8yKnx4fSrbqDm1xIRkntqwoY/JP7Z2viw+9" +
			"pGPmQ+FuTXGW7deev5BidB9QZDiU4gGgP+cTX7l35DwaLx0ZWEYNOkjfRJxt5HfCxHqdj6CJFwTYTNN71mYA",
		salt: "9055e419c6838d7d",
		text: "2124401155154476:dmVjdXNlcg:1795421412:3.0.0:3:MTk4LjUxLjEwMC45LHRjcC8yMix1ZHAvMTE5NA:120:L5g8L3/VTan1cPjfte2YhlzYmmdr34gaqhCzMYpSGpqPYoWXdf8JOAQ5+nbcOZ5DIAGAPiIuBHeBc4pttCjWsg",
		message: Message{
			Random: "2124401155154476", User: "vecuser", Time: unix(1795421412), Version: "3.0.0",
			Type: AccessTimeout, Address: netip.MustParseAddr("198.51.100.9"),
			Services: []port.Range{port.Single(packet.TCP, 22), port.Single(packet.UDP, 1194)},
			Timeout:  120 * time.Second,
			Digest:   SHA512,
		},
	},
	{
		name: "v3", config: Config{Key: []byte("3ncryptk3y")},
		payload: "+2nqA+EIutCm0sxHa8bizbfWAv6rinkrWuRRqq+3jL105275YWjjoJ05yr9UpxpaMy5bIWYVFaf7uoB5bHgmSBWhbf" +
			"MfbOWxtdAqacSQnul9I6+DsTHwCs1AgfujA/qVNvznTpmam39zFABUsH7yUdkS0hXfKwSWo",
		salt: "b69ea03e108bad0a",
		text: "5607347720214851:bWJy:1795421412:3.0.0:1:MC4wLjAuMCx0Y3AvMjI:1CPqrGROfSXKRto0eHO8hHCsZ8KxDxpUxPQA+Uhq89M",
		message: Message{
			Random: "5607347720214851", User: "mbr", Time: unix(1795421412), Version: "3.0.0",
			Type:     Access,
			Services: []port.Range{port.Single(packet.TCP, 22)},
			Digest:   SHA256,
		},
	},
	{
		name: "v4", config: Config{Key: []byte("3ncryptk3y"), Cipher: Legacy},
		payload: "+0OsaXX805LTQLK+N+/YnhpLZ48Ooyj/QtF2zkXy/vLjwNEBFWfgjesHyjMoeIeBUvnptu0rznp5jLyAKwg9mu2lsI" +
			"aEiT7dq6S5TvPX7izcu+0vP6QlJfFzYjNaAUu/3KlThvDEFquwT+0T9UBn/NKXQk0P6ULG4",
		salt: "b43ac6975fcd392d",
		text: "9285876365694377:bWJy:1795421430:3.0.0:1:MC4wLjAuMCx0Y3AvMjI:LwaHZcBKOE+TtPPt1KyQGzbhlwIwIbFUIt3MfqZhF3A",
		message: Message{
			Random: "9285876365694377", User: "mbr", Time: unix(1795421430), Version: "3.0.0",
			Type:     Access,
			Services: []port.Range{port.Single(packet.TCP, 22)},
			Digest:   SHA256,
		},
	},
	{
		name: "v5", config: keyed(SHA256),
		payload: "/PadROeVR7fxQc6uDsjbKfRE0DrWOEAHnHCrOLr0P4og7dTALprkbPY3lLZYb/6BBZXi90UJ4xNrFflzfrQU2tZeIB" +
			"XzS/D/ztIBKmlE0MOtW66xk9s/yudajI9gJMAnkcNuc7aDGzR7IUZXuW30OYAHs3Dcnznrut33MUfWPsZ5ttLHYGid" +
			"fk7icw7NONfj89MHlQBsqa3+Imx4nJ5phurr8oNEOMuPM",
		salt: "cf69d44e79547b7f",
		text: "1030582939126172:dmVjdXNlcg:1795421412:3.0.0:0:MTkyLjAuMi4xLC9iaW4vdHJ1ZSBhcmc6MQ:RJXgOePy/KiTg2RWRhvfWuSHMK2VFNaH3aKKj6FEPts",
		message: Message{
			Random: "1030582939126172", User: "vecuser", Time: unix(1795421412), Version: "3.0.0",
			Type: Command, Address: netip.MustParseAddr("192.0.2.1"),
			Command: "/bin/true arg:1",
			Digest:  SHA256,
		},
	},
	{
		name: "v6", config: keyed(SHA256),
		payload: "+b7r1Bm42hegO/4S9Tz9dTfi0VW8bYRYZc0M8OalhAawbgzrmWsSYkhACXLHmMfvnRJJO3pV0DK9NaI/wYw+C/lWh9" +
			"23wT+c2nEvFWCgMITtgqyAZk61JuiplgmCkcW3yT+lF1d2bCyb5N//WtV2SjlthsbrdqBTtKLBb2NhdtJU26ISOT5w" +
			"ID4Ske3NxKUpvNEq3fzgIjuAhRHTBV/+wMHuNwEO1pr6FpebGHA9TLRawSMqkNbXM78",
		salt: "9beebd419b8da17a",
		text: "2021443996720044:dmVjdXNlcg:1795421412:3.0.0:6:MTkyLjAuMi43Nyx0Y3AvNDAwMjI:MTI3LjAuMC4xLDIy:45:w4tC9b6pPM4tDDyzkTB34wCfQsIKrgyGhQ8BLcZd9vI",
		message: Message{
			Random: "2021443996720044", User: "vecuser", Time: unix(1795421412), Version: "3.0.0",
			Type: LocalNATTimeout, Address: netip.MustParseAddr("192.0.2.77"),
			Services: []port.Range{port.Single(packet.TCP, 40022)},
			NAT:      "127.0.0.1,22",
			Timeout:  45 * time.Second,
			Digest:   SHA256,
		},
	},
	{
		name: "v7", config: keyed(SHA3_256),
		payload: "9657FGlIiT921p0wzUmcJongIQrs+EAielrYCHKbnK05xWTDQA+DgsgGOvu+v82W2n+Xwbjvxjups8WZ7ttyVWQ1NT" +
			"mOc3YVwJcXLlXcoD2cTxWGzbVZG3ijepvwrCoZvCN7NBcrN1J4KMfThEwe0LtvTvXo4KOv8mHs2w7BhYa4micY9YS/" +
			"AL3C2g2Gm8pWrJVHY1ZEVfJZ9XSXnvD0C8ESnDT87rVEwoRAaWbVOC0tbKj2uPLzyDyvKAJy4VEpURs80GlniEDU",
		salt: "7ae7b146948893f7",
		text: "1487097271201691:dmVjdXNlcg:1795421412:3.0.0:1:MTkyLjAuMi43Nyx0Y3AvMjI:wzB72xzOoNcxwJio9TJPdUoH79AOuoEHfjgv6WKpGc4YvJ0kHoW2eMZA7DEmhz1tLVzHk/lv9dgHUu4CR33+Sw",
		message: Message{
			Random: "1487097271201691", User: "vecuser", Time: unix(1795421412), Version: "3.0.0",
			Type: Access, Address: netip.MustParseAddr("192.0.2.77"),
			Services: []port.Range{port.Single(packet.TCP, 22)},
			Digest:   SHA3_512,
		},
	},
	{
		name: "v8", config: keyed(SHA256),
		payload: "+Bz2A+YzCZsN8JfKTZWLXbwrAXz6ynmj1Q1IiEyBW0slQVUddtmy7jIuIlFIUesOurgT6ymK2I+fwLIQda2S5dOVFk" +
			"z0ZhUdvkZbeFTarfG9hUd/6f8IyB9No6/OFtJj4gIsCZp1ZEzZaBbKSTaoxGYVXrDqBQo6BnyU31YgzMpdrknyoxCF" +
			"G5fOOh/jlsaiQCYSY4dA+C6Q2e+B+g88fo+ofBBcW2zPrllk2PR5WnW0WojhYR30cQ8",
		salt: "81cf603e633099b0",
		text: "1226996407161841:dmVjdXNlcg:1795421412:3.0.0:2:MTkyLjAuMi43Nyx0Y3AvMjI:MTAuMC4wLjUsNTUwMDA:883oeujSZQgSYJ96xiM9bXMhCA9/6hoIpF+GmsITccQ",
		message: Message{
			Random: "1226996407161841", User: "vecuser", Time: unix(1795421412), Version: "3.0.0",
			Type: NATAccess, Address: netip.MustParseAddr("192.0.2.77"),
			Services: []port.Range{port.Single(packet.TCP, 22)},
			NAT:      "10.0.0.5,55000",
			Digest:   SHA256,
		},
	},
}

type vector struct {
	name          string
	config        Config
	payload, salt string
	text          string // with the digest
	message       Message
}

// keyed is the configuration of all vectors that have an HMAC.
func keyed(h Hash) Config {
	c := Config{HMAC: h}
	for i := range 32 {
		c.Key = append(c.Key, byte(i+1))
	}
	for i := range 64 {
		c.HMACKey = append(c.HMACKey, byte(7*i+3))
	}
	return c
}

// without is the configuration without its HMAC.
func without(c Config) Config {
	c.HMACKey = nil
	return c
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func newKey(t testing.TB, c Config) *Key {
	t.Helper()
	k, err := NewKey(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// vectorNamed returns one with its key.
func vectorNamed(t testing.TB, name string) (vector, *Key) {
	t.Helper()
	for _, v := range vectors {
		if v.name == name {
			return v, newKey(t, v.config)
		}
	}
	t.Fatalf("no vector %s", name)
	return vector{}, nil
}

// undigested is the text without its digest.
func (v vector) undigested() string { return v.text[:strings.LastIndex(v.text, ":")] }

// salted reads as the salt of the vector.
func (v vector) salted(t testing.TB) *bytes.Reader {
	t.Helper()
	salt, err := hex.DecodeString(v.salt)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(salt)
}
