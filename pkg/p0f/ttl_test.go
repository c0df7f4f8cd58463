package p0f

import "testing"

// otherTTLs are those of packets that crossed a few hops since a host, or a machine on
// the way that sets the TTL anew, sent them with one of the usual initial ones.
var otherTTLs = []uint8{32, 28, 15, 64, 60, 47, 128, 124, 111, 255, 251, 238}

// TTL is evidence only beside others: a SYN of one family, sent with another TTL, is
// never taken for a SYN of another family, except for the pairs below. Each pair is a
// row and the row that answers.
func TestTTLAloneNamesNoOtherFamily(t *testing.T) {
	db := Builtin()
	met := make(map[[2]string]bool)
	for i, e := range db.entries {
		if db.labels[e.label].Class != OS {
			continue
		}
		for _, v := range variants(e.signature.(Signature)) {
			b := generate(t, e.signature.(Signature), v)
			for _, ttl := range otherTTLs {
				b[ttlOffset(v.version)] = ttl
				var f features
				r, confidence := db.choose(&f, decoded(t, b))
				if r == nil || r.class != OS || confidence < Family || db.labels[r.label].Family == db.labels[db.entries[i].label].Family {
					continue
				}
				if confidence == Exact {
					t.Errorf("%s, version %d with a TTL of %d, is %v %q", e.signature, v.version, ttl, confidence, db.labels[r.label])
				}
				pair := [2]string{e.signature.String(), db.entries[r.entry].signature.String()}
				if ttlDecides[pair] == "" && !met[pair] {
					t.Errorf("{%q, %q}: %q, version %d with a TTL of %d, is %v %q", pair[0], pair[1], db.labels[e.label], v.version, ttl, confidence, db.labels[r.label])
				}
				met[pair] = true
			}
		}
	}
	for pair := range ttlDecides {
		if !met[pair] {
			t.Errorf("%v: a TTL does not make the second of the first", pair)
		}
	}
}

// Why a TTL may decide between two families. The answer is never exact in any case.
const (
	bothWrite = "both systems write this SYN, so layout, window and scale are evidence for both"
	anyWindow = "the layout is that of both, and the window says nothing about either"
	freeBSD   = "FreeBSD with larger buffers writes what Windows writes, apart from the TTL"
)

// ttlDecides are the pairs that only the TTL tells apart, with the reason.
var ttlDecides = map[[2]string]string{
	{"*:128:0:*:*,*:mss,nop,ws,sok,ts:df,id+,ecn?:0", "*:64:0:*:*,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0"}:                 anyWindow,
	{"*:128:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0", "4:64:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?:0"}:               anyWindow,
	{"*:64:0:*:*,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0", "*:128:0:*:*,*:mss,nop,ws,sok,ts:df,id+,ecn?:0"}:                 anyWindow,
	{"*:64:0:*:65535,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0", "*:128:0:*:*,*:mss,nop,ws,sok,ts:df,id+,ecn?:0"}:             anyWindow,
	{"4:64:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?:0", "*:128:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0"}:               anyWindow,
	{"*:128:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0", "4:64:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?:0"}: bothWrite,
	{"*:64:0:1360:32768,0:mss,nop,nop,sok:df,id+:0", "4:128:0:*:32768,0:mss,nop,nop,sok:df,id+,uptr+?:0"}:              bothWrite,
	{"4:128:0:*:32768,0:mss,nop,nop,sok:df,id+,uptr+?:0", "4:64:0:1460:32768,0:mss,nop,nop,sok:df,id+:0"}:              bothWrite,
	{"4:128:0:*:mss*20,0:mss,nop,nop,sok:df,id+,uptr+?:0", "4:64:0:*:mss*20,0:mss,nop,nop,sok:df,id+,ecn?:0"}:          bothWrite,
	{"4:255:0:*:32768,0:mss,ws,nop:df,id+?:0", "4:64:0:*:32768,0:mss,ws,nop:df?,id+?:0"}:                               bothWrite,
	{"4:32:0:*:mss*44,0:mss,nop,nop,sok:df,id+:0", "4:64:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?:0"}:                bothWrite,
	{"4:64:0:*:32768,0:mss,ws,nop:df?,id+?:0", "4:255:0:*:32768,0:mss,ws,nop:df,id+?:0"}:                               bothWrite,
	{"4:128:0:*:32767,0:mss,nop,nop,sok:df,id+,uptr+?:0", "4:64:0:*:32767,0:mss,nop,nop,sok:df,id+:0"}:                 bothWrite,
	{"4:128:0:*:mss*6,0:mss,nop,nop,sok:df,id+,uptr+?:0", "4:64:0:*:mss*6,0:mss,nop,nop,sok:df,id+:0"}:                 bothWrite,
	{"4:128:0:*:mss*12,0:mss,nop,nop,sok:df,id+,uptr+?:0", "4:64:0:*:mss*12,0:mss,nop,nop,sok:df,id+:0"}:               bothWrite,
	{"4:64:0:*:mss*6,0:mss,nop,nop,sok:df,id+:0", "4:128:0:*:mss*6,0:mss,nop,nop,sok:df,id+,uptr+?:0"}:                 bothWrite,
	{"4:64:0:*:mss*12,0:mss,nop,nop,sok:df,id+:0", "4:128:0:*:mss*12,0:mss,nop,nop,sok:df,id+,uptr+?:0"}:               bothWrite,
	{"4:64:0:*:32767,0:mss,nop,nop,sok:df,id+:0", "4:128:0:*:32767,0:mss,nop,nop,sok:df,id+,uptr+?:0"}:                 bothWrite,
	{"*:128:0:*:65535,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0", "4:64:0:*:65535,0:mss,nop,nop,sok:df,id+,ecn?:0"}:       bothWrite,
	{"4:64:0:*:65535,0:mss,nop,nop,sok:df,id+,ecn?:0", "*:128:0:*:65535,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0"}:       bothWrite,
	{"4:64:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?:0", "*:128:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0"}: bothWrite,
	{"4:64:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?:0", "4:32:0:*:mss*44,0:mss,nop,nop,sok:df,id+:0"}:                bothWrite,
	{"4:64:0:*:mss*20,0:mss,nop,nop,sok:df,id+,ecn?:0", "4:128:0:*:mss*20,0:mss,nop,nop,sok:df,id+,uptr+?:0"}:          bothWrite,
	{"4:64:0:1460:32768,0:mss,nop,nop,sok:df,id+:0", "4:128:0:*:32768,0:mss,nop,nop,sok:df,id+,uptr+?:0"}:              bothWrite,
	{"*:128:0:*:65535,8:mss,nop,ws,sok,ts:df,id+,ecn?:0", "*:64:0:*:65535,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0"}:         freeBSD,
}

// ttlOffset is where a packet has its TTL or hop limit.
func ttlOffset(version uint8) int {
	if version == 6 {
		return 7
	}
	return 8
}
