package policy

import (
	"net/netip"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

// fullAccess has something in every field.
func fullAccess(t *testing.T) *Access {
	t.Helper()
	s, err := totp.ParseSecret([]byte(goodSecret), totp.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	return &Access{
		Name: "a", Enabled: true, Source: Anyone(), Kind: KindShared,
		Open:    []port.Range{port.Single(packet.TCP, 22)},
		Timeout: time.Second, Limit: 1, SingleUse: true, Prefix4: 24, Prefix6: 64,
		RequireOS: regexp.MustCompile("(?i)linux"), OSConfidence: ConfidenceHigh,
		Expires: testTime, Within: time.Second,
		Sequence:    []port.Range{port.Echo, port.Single(packet.TCP, 1)},
		MinInterval: 1, MaxInterval: 2, Reorder: 3,
		Encoding: EncodingSIV, Key: mustKey(t, goodKey), HMACKey: mustKey(t, goodKey), Secret: s,
		KeyFile: "/x", KeyCredential: "x", HMACKeyFile: "/y", HMACKeyCredential: "y", Withheld: true,
		PortBase: 1, Protocol: ProtocolAny, Port: 2, LastPort: 3,
		RequireUser: []string{"mbr"}, AllowOtherAddress: true, Window: 1, MaxTimeout: 2,
		HMAC: 1, Cipher: 1, AllowUnauthenticated: true, Algorithm: 1, MaxAttempts: 1,
		Pos: Pos{"x", 1, 1},
	}
}

// others are other values for the fields that another cannot be made up for.
var others = map[string]any{
	"Source":    SourceFilter{Include: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	"Open":      []port.Range{{Protocol: packet.TCP, First: 22, Last: 23}},
	"RequireOS": regexp.MustCompile("(?i)bsd"),
	"Expires":   testTime.Add(1),
	"Sequence":  []port.Range{port.Echo, port.Single(packet.UDP, 1)},
	"Key":       secret.New([]byte("other")),
	"HMACKey":   secret.New([]byte("other")),
	"Secret": func() *totp.Secret {
		s, err := totp.Generate(totp.SHA1)
		if err != nil {
			panic(err)
		}
		return s
	}(),
	"RequireUser": []string{"mbr", "root"},
}

func TestEqualNoticesEveryField(t *testing.T) {
	base := fullAccess(t)
	if !base.Equal(fullAccess(t)) {
		t.Fatal("an access is not equal to its like")
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Access]()) {
		for _, change := range []func(v reflect.Value){
			reflect.Value.SetZero,
			func(v reflect.Value) { setOther(v, field.Name) },
		} {
			a := fullAccess(t)
			v := reflect.ValueOf(a).Elem().FieldByIndex(field.Index)
			if v.IsZero() {
				t.Errorf("%s is not in fullAccess", field.Name)
			}
			change(v)
			if base.Equal(a) != (field.Name == "Pos") || a.Equal(base) != (field.Name == "Pos") {
				t.Errorf("another %s, %v: equal is %t", field.Name, v, base.Equal(a))
			}
		}
	}
}

// setOther gives a field another value that is not zero.
func setOther(v reflect.Value, name string) {
	switch other, ok := others[name]; {
	case ok:
		v.Set(reflect.ValueOf(other))
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	}
}

func TestEqualKnowsKeysAndTimesByWhatTheyMean(t *testing.T) {
	a, b := fullAccess(t), fullAccess(t)
	b.Expires = b.Expires.In(time.FixedZone("x", 3600))
	b.Pos = Pos{"y", 2, 2}
	if !a.Equal(b) {
		t.Error("not equal")
	}
	b.Key = mustKey(t, "a passphrase")
	if a.Equal(b) {
		t.Error("equal with another key")
	}
}

// BenchmarkEqual is what a reload does for each access.
func BenchmarkEqual(b *testing.B) {
	text := []byte(keyed("", goodKey, otherKey))
	p, _ := Parse("x", text)
	q, _ := Parse("x", text)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Accesses[1].Equal(&q.Accesses[1]) {
			b.Fatal("not equal")
		}
	}
}

func TestKnockPorts(t *testing.T) {
	const head = "[[access]]\nname = \"a\"\nopen = [\"tcp/22\"]\n"
	for name, tt := range map[string]struct {
		text string
		want []port.Range
	}{
		"shared": {`sequence = ["tcp/50053", "icmp", "udp/6020", "tcp/50053"]`, []port.Range{
			{Protocol: packet.TCP, First: 50053, Last: 50053}, {Protocol: packet.UDP, First: 6020, Last: 6020}, {Protocol: packet.TCP, First: 50053, Last: 50053},
		}},
		"shared, icmp alone": {`sequence = ["icmp", "icmp"]`, nil},
		"siv":                {"knock = \"encrypted\"\nkey_file = \"/x\"", []port.Range{{Protocol: packet.TCP, First: 48000, Last: 60799}, {Protocol: packet.UDP, First: 48000, Last: 60799}}},
		"siv at the end": {"knock = \"encrypted\"\nkey_file = \"/x\"\nprotocol = \"tcp\"\nport_base = 52736",
			[]port.Range{{Protocol: packet.TCP, First: 52736, Last: 65535}}},
		"article": {"knock = \"encrypted\"\nencoding = \"article\"\nkey_file = \"/x\"", []port.Range{{Protocol: packet.TCP, First: 61000, Last: 61255}, {Protocol: packet.UDP, First: 61000, Last: 61255}}},
		"fwknop-1.9 at the end": {"knock = \"encrypted\"\nencoding = \"fwknop-1.9\"\nkey_file = \"/x\"\nprotocol = \"udp\"\nport_base = 65280",
			[]port.Range{{Protocol: packet.UDP, First: 65280, Last: 65535}}},
		"totp":            {"knock = \"totp\"\nkey_file = \"/x\"", []port.Range{{Protocol: packet.TCP, First: 40000, Last: 40399}, {Protocol: packet.UDP, First: 40000, Last: 40399}}},
		"totp at the end": {"knock = \"totp\"\nkey_file = \"/x\"\nport_base = 65136", []port.Range{{Protocol: packet.TCP, First: 65136, Last: 65535}, {Protocol: packet.UDP, First: 65136, Last: 65535}}},
		"spa":             {"knock = \"spa\"\nkey_file = \"/x\"\nhmac_key_file = \"/x\"", []port.Range{{Protocol: packet.UDP, First: 62201, Last: 62201}}},
	} {
		p, diags := Parse("x", []byte(head+tt.text+"\n"))
		if p == nil {
			t.Errorf("%s: %v", name, diags)
			continue
		}
		if diff := cmp.Diff(tt.want, p.Accesses[0].KnockPorts()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
