package gate

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/netns/netnstest"
)

// grantKeys are all types that the keys of a set of grants can have.
func grantKeys() []grantKey {
	var list []grantKey
	for _, f := range families() {
		list = append(list, grantKey{family: f}, grantKey{family: f, port: true}, grantKey{family: f, protocol: true, port: true})
	}
	return list
}

// Keys as nft writes them, each field padded to 4 bytes.
func TestGrantKeys(t *testing.T) {
	four, six := addr("192.0.2.1"), addr("2001:db8::1")
	udp53 := service("udp/53")
	for _, tt := range []struct {
		name   string
		key    grantKey
		source netip.Addr
		want   string
	}{
		{"ipv4_addr", grantKey{family: ipv4()}, four, "\xc0\x00\x02\x01"},
		{"ipv4_addr . inet_service", grantKey{family: ipv4(), port: true}, four, "\xc0\x00\x02\x01\x00\x35\x00\x00"},
		{"ipv4_addr . inet_proto . inet_service", grantKey{family: ipv4(), protocol: true, port: true}, four, "\xc0\x00\x02\x01\x11\x00\x00\x00\x00\x35\x00\x00"},
		{"ipv6_addr", grantKey{family: ipv6()}, six, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"},
		{"ipv6_addr . inet_service", grantKey{family: ipv6(), port: true}, six, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x35\x00\x00"},
		{"ipv6_addr . inet_proto . inet_service", grantKey{family: ipv6(), protocol: true, port: true}, six, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x11\x00\x00\x00\x00\x35\x00\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.key.fields().datatype().Name; got != tt.name {
				t.Errorf("type %q", got)
			}
			key := tt.key.encode(tt.source, udp53)
			if string(key) != tt.want {
				t.Errorf("key %x, want %x", key, tt.want)
			}
			source, s, ok := tt.key.decode(key)
			if !ok || source != tt.source || s != tt.key.holds(udp53) {
				t.Errorf("read as %v, %+v, %v", source, s, ok)
			}
			for name, bad := range map[string][]byte{
				"empty": nil, "one byte less": key[:len(key)-1], "one byte more": append(key[:len(key):len(key)], 0),
			} {
				if source, s, ok := tt.key.decode(bad); ok || source.IsValid() || s != (port.Range{}) {
					t.Errorf("%s: read as %v, %+v, %v", name, source, s, ok)
				}
			}
		})
	}
}

// holds is what a key of the type says of a service.
func (k grantKey) holds(s port.Range) port.Range {
	if !k.protocol {
		s.Protocol = 0
	}
	if !k.port {
		s.First, s.Last = 0, 0
	}
	return s
}

func FuzzGrantKey(f *testing.F) {
	f.Add(uint8(1), []byte("\xc0\x00\x02\x01\x00\x35\x00\x00"), []byte("\xc0\x00\x02\x01\x06\x00\x16"))
	f.Add(uint8(5), []byte{}, append(addr("2001:db8::1").AsSlice(), byte(packet.UDP), 0, 53))
	// The value is an address, a protocol and a port.
	f.Fuzz(func(t *testing.T, kind uint8, key, value []byte) {
		k := grantKeys()[int(kind)%len(grantKeys())]
		if source, s, ok := k.decode(key); ok && !bytes.Equal(k.encode(source, s), key) {
			t.Errorf("%x is read as %v, %v, which is %x", key, source, s, k.encode(source, s))
		}
		length := int(k.family.addrLen())
		if len(value) != length+3 {
			return
		}
		source, _ := netip.AddrFromSlice(value[:length])
		s := port.Single(packet.Protocol(value[length]), binary.BigEndian.Uint16(value[length+1:]))
		got, ports, ok := k.decode(k.encode(source, s))
		if !ok || got != source || ports != k.holds(s) {
			t.Errorf("%v, %v is read as %v, %v, %v", source, s, got, ports, ok)
		}
	})
}

func FuzzTupleKey(f *testing.F) {
	for _, fam := range families() {
		f.Add(fam.bits == 32, make([]byte, tupleType(fam).datatype().Bytes))
	}
	f.Fuzz(func(t *testing.T, four bool, key []byte) {
		fam := ipv6()
		if four {
			fam = ipv4()
		}
		p, tuple, ok := fam.parseTuple(key)
		if ok && !bytes.Equal(tupleKey(p, tuple), key) {
			t.Errorf("%x is read as %v, %v, which is %x", key, p, tuple, tupleKey(p, tuple))
		}
	})
}

// Sets that others made say what their keys are, and take elements of ours.
func TestKeysOfOthersSetsAreRead(t *testing.T) {
	host := netnstest.New(t)
	conn := stranger(t, host)
	table := &nftables.Table{Name: "filter", Family: nftables.TableFamilyINet}
	conn.AddTable(table)
	for _, k := range grantKeys() {
		encoded(conn.AddSet(&nftables.Set{Table: table, Name: otherSet(k), KeyType: k.fields().datatype(), HasTimeout: true}, nil))
	}
	for name, types := range map[string]keyType{
		"port": {nftables.TypeInetService}, "turned": {nftables.TypeInetService, nftables.TypeIPAddr}, "mark": {nftables.TypeIPAddr, nftables.TypeMark},
	} {
		encoded(conn.AddSet(&nftables.Set{Table: table, Name: name, KeyType: types.datatype()}, nil))
	}
	flush(t, conn)
	sets, err := conn.GetSets(table)
	if err != nil || len(sets) != len(grantKeys())+3 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	for _, set := range sets {
		k, ok := readGrantKey(set.KeyType.GetNFTMagic())
		if !ok {
			if set.Name != "port" && set.Name != "turned" && set.Name != "mark" {
				t.Errorf("set %s: nothing can be granted", set.Name)
			}
			continue
		}
		if set.Name != otherSet(k) {
			t.Errorf("set %s is read as %s", set.Name, otherSet(k))
		}
		source := addr("192.0.2.1")
		if k.family == ipv6() {
			source = addr("2001:db8::1")
		}
		encoded(conn.SetAddElements(set, []nftables.SetElement{{Key: k.encode(source, service("tcp/22")), Timeout: time.Minute}}))
		flush(t, conn)
		elements, err := conn.GetSetElements(set)
		if err != nil || len(elements) != 1 {
			t.Fatalf("set %s: elements %+v, %v", set.Name, elements, err)
		}
		if got, s, ok := k.decode(elements[0].Key); !ok || got != source || s != k.holds(service("tcp/22")) {
			t.Errorf("set %s: %v, %v, %v", set.Name, got, s, ok)
		}
	}
}

// otherSet names a set for keys of a type.
func otherSet(k grantKey) string {
	return strings.ReplaceAll(k.fields().datatype().Name, " . ", "_")
}
