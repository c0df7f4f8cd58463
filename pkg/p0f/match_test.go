package p0f

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
)

// answer formats a Match for comparison: class, confidence and label.
func answer(db *Database, p *packet.Packet) string {
	m := db.Match(p)
	if m.Confidence == None {
		return "none"
	}
	return m.Class.String() + " " + m.Confidence.String() + " " + db.Label(m.Label).String()
}

func TestBuiltinAnswers(t *testing.T) {
	tests := []struct{ name, syn, want string }{
		{"Linux 6.18", "4:64+0:0:1460:64240,10:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux 6.18 over IPv6", "6:64+0:0:1440:64800,10:mss,sok,ts,nop,ws:flow:0", "os exact Linux 4.19 or newer"},
		{"Linux behind PPPoE", "4:54+10:0:1452:65340,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux, MSS clamped on the path", "4:54+10:0:1360:64240,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux, MSS clamped to where another multiple fits", "4:54+10:0:1168:64240,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux with jumbo frames", "4:64+0:0:8960:62720,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux over loopback", "4:64+0:0:65495:65495,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux behind NAT64", "4:54+10:0:1440:64800,10:mss,sok,ts,nop,ws:id-:0", "os exact Linux 4.19 or newer"},
		{"Linux with a small buffer", "4:64:0:1460:29200,0:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 2.2, or newer with a small buffer"},
		{"MSS only over IPv6 with a flow label", "6:64:0:1440:64800,0:mss:flow:0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"MSS only over IPv6", "6:64:0:1440:5760,0:mss::0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"MSS only without DF", "4:64:0:1460:16384,0:mss::0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"MSS and padding of 8", "4:64:0:1460:5840,0:mss,eol+7:df,id+:0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"MSS and padding of 12", "6:64:0:1440:5840,0:mss,eol+11::0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"MSS and padding of 16", "4:64:0:1460:5840,0:mss,eol+15:df:0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"Windows' options blanked", "4:118+10:0:1460:64240,0:mss,nop,nop,nop,nop,nop,nop,nop,nop:df,id+:0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"Linux' options blanked", "4:54+10:0:1460:64240,0:mss,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop:df,id+:0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"Apple's options blanked", "4:54+10:0:1460:65535,0:mss,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,eol+1:df:0", "stack low Minimal stack (no option but an MSS), or a tool"},
		{"no options", "4:64:0:0:16384,0::df,id+:0", "stack low Minimal stack (no options), or a tool"},
		{"Cisco's window", "4:250+5:0:1460:4128,0:mss::0", "os exact Cisco router or switch"},
		{"Windows' last SYN over IPv6", "6:64:0:1440:64800,0:mss,nop,nop,sok:flow:0", "os exact Windows 10 or newer"},
		{"Windows with timestamps over IPv6", "6:64:0:1440:65535,8:mss,nop,ws,sok,ts:flow:0", "os exact Windows 10 or newer"},
		{"iOS 13", "4:64:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0", "os exact macOS/iOS (macOS 10.13, iOS 11 or newer, with a set buffer)"},
		{"Linux that asks for ECN", "4:64+0:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+,ecn:0", "os exact Linux 4.19 or newer"},
		{"Linux 6.8", "4:64+0:0:1460:32120,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 6.6 to 6.9, or 4.19 or newer with a small buffer"},
		{"Linux 4.9", "4:64+0:0:1460:29200,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 3.10 to 4.19, or newer with a small buffer"},
		{"Linux 4.9, MSS clamped", "4:50+14:0:1360:29200,7:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 3.10 to 4.19, or newer with a small buffer"},
		{"Linux 2.4, pf.os S4:64:1:60:M*,S,T,N,W0", "4:64+0:0:1460:5840,0:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 2.4 or early 2.6, or newer with a small buffer"},
		{"the same with another MSS", "4:60+4:0:1400:5600,0:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux 2.4 or early 2.6, or newer with a small buffer"},
		{"Android", "4:50+14:0:1400:65535,9:mss,sok,ts,nop,ws:df,id+:0", "os exact Linux (Android or tuned)"},
		{"Android behind 464XLAT", "4:50+14:0:1400:65535,9:mss,sok,ts,nop,ws:df:0", "os exact Linux (Android or tuned)"},
		{"Android, timestamps stripped", "4:50+14:0:1400:65535,9:mss,sok,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+:0", "os family Linux (timestamps stripped)"},
		{"Android, timestamps stripped and TTL reset", "4:247+8:0:1360:65535,9:mss,sok,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+:0", "os family Linux (timestamps stripped)"},
		{"Android, gap closed and TTL reset", "4:240+15:0:1392:65535,9:mss,sok,nop,nop,nop,ws:df,id+:0", "os family Linux (timestamps stripped)"},
		{"Linux, timestamps and SACK stripped", "4:54+10:0:1380:65535,8:mss,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+:0", "os family Linux (timestamps stripped)"},
		{"Linux, scaling stripped", "4:54+10:0:1380:64240,0:mss,sok,ts,nop,nop,nop,nop:df,id+:0", "os family Linux (scaling stripped)"},
		{"Android without DF and ID, gap closed", "4:54+10:0:1380:65535,8:mss,sok,nop,nop,nop,ws::0", "os low Linux (timestamps stripped)"},
		{"Linux with an odd buffer", "4:64+0:0:1460:7300,0:mss,sok,ts,nop,ws:df,id+:0", "os family Linux"},
		{"Linux without DF", "4:64+0:0:1460:64240,10:mss,sok,ts,nop,ws::0", "os low Linux 4.19 or newer"},
		{"Linux with TTL 128", "4:128+0:0:1460:64240,10:mss,sok,ts,nop,ws:df,id+:0", "os family Linux 4.19 or newer"},
		{"Linux 44 hops away", "4:20+12:0:1460:64240,10:mss,sok,ts,nop,ws:df,id+:0", "os family Linux 4.19 or newer"},
		{"Linux with ID zero", "4:64+0:0:1460:64240,10:mss,sok,ts,nop,ws:df:0", "os low Linux 4.19 or newer"},

		{"Windows 10", "4:118+10:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+:0", "os exact Windows 10 or newer"},
		{"Windows 11", "4:118+10:0:1460:65535,8:mss,nop,ws,nop,nop,sok:df,id+:0", "os exact Windows 10 or newer"},
		{"Windows Server 2019", "4:118+10:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+,ecn:0", "os exact Windows 10 or newer"},
		{"Windows 10 with timestamps", "4:118+10:0:1460:64240,8:mss,nop,ws,sok,ts:df,id+:0", "os exact Windows 10 or newer"},
		{"Windows 10 over IPv6, advertised hop limit", "6:60+4:0:1440:64800,8:mss,nop,ws,nop,nop,sok:flow:0", "os exact Windows 10 or newer"},
		{"Windows 10 over IPv6, own hop limit", "6:120+8:0:1440:64800,8:mss,nop,ws,nop,nop,sok:flow:0", "os exact Windows 10 or newer"},
		{"Windows 7", "4:118+10:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0", "os exact Windows Vista to 10, or Server 2008 to 2016"},
		{"Windows XP", "4:118+10:0:1460:64512,0:mss,nop,nop,sok:df,id+:0", "os exact Windows 2000, XP or Server 2003, or newer without scaling"},
		{"Windows options at TTL 64", "4:64+0:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+:0", "os family Windows (TTL rewritten on the way)"},

		{"macOS 14", "4:54+10:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0", "os exact macOS/iOS (macOS 10.14, iOS 11 or newer)"},
		{"macOS 14 with ECN", "4:54+10:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn:0", "os exact macOS/iOS (macOS 10.14, iOS 11 or newer)"},
		{"macOS over IPv6", "6:54+10:0:1440:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:flow:0", "os exact macOS/iOS (macOS 10.14, iOS 11 or newer)"},
		{"FreeBSD 14", "4:54+10:0:1460:65535,6:mss,nop,ws,sok,ts:df:0", "os exact FreeBSD 11 or newer"},
		{"FreeBSD 10", "4:54+10:0:1460:65535,6:mss,nop,ws,sok,ts:df,id+:0", "os exact FreeBSD 9 or 10, or newer with rewritten IDs, or PlayStation 4"},
		{"FreeBSD over IPv6", "6:54+10:0:1440:65535,6:mss,nop,ws,sok,ts:flow:0", "os exact FreeBSD 9 or newer"},
		{"OpenBSD 7", "4:54+10:0:1460:16384,6:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+:0", "os exact OpenBSD 6.1 or newer"},
		{"NetBSD 10", "4:54+10:0:1460:32768,3:mss,nop,ws,sok,nop,nop,nop,nop,ts:df:0", "os exact NetBSD 2 or newer"},

		{"nmap", "4:44+20:0:1460:1024,0:mss::0", "tool exact Nmap SYN scan"},
		{"masscan", "4:245+10:0:1460:1024,0:mss:id=dst^dport^seq:0", "tool exact masscan"},
		{"masscan pretending TTL 64", "4:54+10:0:1460:1024,0:mss:id=dst^dport^seq:0", "tool exact masscan"},
		{"zmap as Linux", "4:245+10:0:1460:65535,7:mss,sok,ts,nop,ws:id=54321:0", "tool exact ZMap"},
		{"zmap with another ID", "4:245+10:0:1460:65535,7:mss,sok,ts,nop,ws::0", "tool exact ZMap"},
		{"zmap with another TTL", "4:54+10:0:1460:65535,7:mss,sok,ts,nop,ws:id=54321:0", "tool exact ZMap"},
		{"Mirai", "4:50+14:0:0:19003,0::seq=dst:0", "tool exact Mirai scanner"},
		{"scapy", "4:64+0:0:0:8192,0::seq-:0", "tool exact Scapy"},
		{"hping3", "4:64+0:0:0:512,0:::0", "tool exact hping"},

		{"BIG-IP, without scaling", "4:245+10:0:1460:4380,0:mss,nop,nop,ts,sok,eol+1:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"the same at a system's TTL", "4:54+10:0:1460:4380,0:mss,nop,nop,ts,sok,eol+1:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"the same without DF", "4:245+10:0:1460:4380,0:mss,nop,nop,ts,sok,eol+1::0", "proxy exact F5 BIG-IP or alike"},
		{"a proxy's own layout with another window", "4:245+10:0:1460:5840,0:mss,nop,nop,ts,sok,eol+1:df,id+:0", "proxy family Load balancer or accelerator"},
		{"BIG-IP in FreeBSD's layout", "4:255+0:0:1460:14600,0:mss,nop,ws,sok,ts:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP, 16 segments", "4:250+5:0:1460:23360,0:mss,nop,ws,sok,ts:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP that keeps the client's TTL, 64", "4:53+11:0:1380:4140,5:mss,nop,ws,sok,ts:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP that keeps the client's TTL, 128", "4:118+10:0:1460:4380,2:mss,nop,ws,sok,ts:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP over IPv6", "6:60+4:0:1440:14400,0:mss,nop,ws,sok,ts:flow:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP without timestamps", "4:239+16:0:1400:4200,4:mss,nop,ws,sok,eol+1::0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP without timestamps, 10 segments", "4:240+15:0:1380:13800,2:mss,nop,ws,sok,eol+1:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP's last SYN", "4:255+0:0:1460:14600,0:mss,sok,eol+1:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP in Apple's layout", "4:250+5:0:1460:4380,0:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"the same at Apple's TTL", "4:54+10:0:1380:4140,0:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"BIG-IP in a layout of Linux", "4:250+5:0:1460:4380,0:mss,sok,ts:df,id+:0", "proxy exact F5 BIG-IP or alike"},
		{"Linux in that layout", "4:64+0:0:1460:4380,0:mss,sok,ts:df,id+:0", "os family Linux"},
		{"NetScaler", "4:250+5:0:1460:8190,0:mss:df,id+:0", "proxy exact NetScaler"},
		{"NetScaler with scaling", "4:250+5:0:1330:8190,8:mss,nop,ws,nop,nop,sok:df,id+:0", "proxy exact NetScaler"},
		{"CacheFlow", "4:64+0:0:1460:65535,6:mss,nop,ws,sok,ts,eol+3::0", "proxy family CacheFlow"},
		{"a relay under an Android's user agent", "4:54+10:0:1400:65535,4:mss,nop,ws,sok,ts:df,id+:0", "proxy exact Mobile carrier"},
		{"FreeBSD with smaller buffers", "4:54+10:0:1460:65535,4:mss,nop,ws,sok,ts:df:0", "os family FreeBSD"},
		{"a carrier in a layout of no client", "4:44+20:0:1380:65535,8:mss,nop,ws,nop,nop,sok,nop,nop,ts::0", "proxy exact Mobile carrier"},
		{"the same at another TTL", "4:245+10:0:1380:65535,8:mss,nop,ws,nop,nop,sok,nop,nop,ts::0", "proxy low Mobile carrier"},
		{"a stack of a VPN program", "4:54+10:0:1460:12345,3:mss,ws,sok,eol+2:df:0", "stack exact smoltcp (a user-space or embedded stack)"},

		{"Linux with an MD5 key", "4:64+0:0:1460:64240,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux with an MD5 key over IPv6", "6:64+0:0:1440:64800,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:flow:0", "os exact Linux 4.19 or newer"},
		{"Linux with an MD5 key, TTL 1 as BGP sets it", "4:1:0:1460:64240,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+:0", "os family Linux 4.19 or newer"},
		{"Linux with an MD5 key and a small buffer", "4:64+0:0:1460:7300,0:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+:0", "os family Linux"},
		{"Linux with an MD5 key, no SACK", "4:64+0:0:1460:64240,10:nop,nop,?19,mss,nop,ws:df,id+:0", "os exact Linux 4.19 or newer"},
		{"Linux with an MD5 key, no scaling", "6:64+0:0:1440:64800,0:nop,nop,?19,mss,nop,nop,sok:flow:0", "os exact Linux 4.19 or newer"},
		{"Linux with an MD5 key and no other option", "4:64+0:0:1460:7300,0:nop,nop,?19,mss:df,id+:0", "os family Linux"},
		{"FreeBSD 14 with an MD5 key", "4:64+0:0:1460:65535,6:mss,nop,ws,sok,ts,nop,nop,?19:df:0", "os exact FreeBSD 7 or newer (TCP MD5 signature)"},
		{"FreeBSD 6 with an MD5 key", "4:64+0:0:1460:65535,1:mss,nop,ws,nop,nop,ts,?19,sok:df,id+:0", "os exact FreeBSD 5.3 to 6 (TCP MD5 signature)"},
		{"OpenBSD 7 with an MD5 key", "6:64+0:0:1440:16384,6:mss,nop,ws,nop,nop,ts,?19,nop,nop:flow:0", "os exact OpenBSD 4.9 or newer (TCP MD5 signature)"},
		{"Cisco IOS XR with an MD5 key", "4:255+0:0:4386:16384,0:mss,ws,nop,?19,eol+1::0", "os exact Cisco IOS XR (TCP MD5 signature)"},
		{"a scanner with random bytes for an MD5 signature", "4:200+55:0:1024:11744,0:mss,sok,?19:df,id+:0", "tool exact Unicornscan"},

		{"Mac OS X 10.3 over IPv6", "6:64+0:0:1440:65535,0:mss,nop,ws,nop,nop,ts::0", "os exact Mac OS X 10.2 to 10.4, or FreeBSD 4.7 to 5.2"},
		{"Mac OS X 10.4 over IPv6", "6:60+4:0:1440:65535,0:mss,nop,ws,nop,nop,ts,sok,eol+1::0", "os exact Mac OS X 10.4 to 10.7, or FreeBSD 6"},
		{"FreeBSD 4.6 over IPv6", "6:64+0:0:1440:57344,0:mss,nop,ws,nop,nop,ts::0", "os exact FreeBSD 4.4 to 5.2"},
		{"FreeBSD 5.3 over IPv6", "6:64+0:0:1440:65535,1:mss,nop,nop,sok,nop,ws,nop,nop,ts::0", "os exact FreeBSD 5.3 or 5.4"},
		{"two BSDs that only DF tells apart, over IPv6", "6:64+0:0:1440:16384,0:mss,nop,ws,nop,nop,ts::0", "os exact FreeBSD 4.4, or NetBSD 1.5"},
		{"NetBSD 1.6 over IPv6", "6:64+0:0:1440:32768,0:mss,nop,ws,nop,nop,ts:ts1-:0", "os exact NetBSD 1.6 or 2.0, or QNX 6"},
		{"OpenBSD 3.3 over IPv6", "6:64+0:0:1440:57344,0:mss,nop,nop,sok,nop,ws,nop,nop,ts::0", "os exact OpenBSD 3.0 to 4.8"},
		{"KAME with a set buffer over IPv6", "6:64+0:0:1440:33000,0:mss,nop,ws,nop,nop,ts::0", "os family BSD or a relative"},
		{"DragonFly over IPv6", "6:64+0:0:1440:57344,5:mss,nop,ws,nop,nop,sok,nop,nop,ts::0", "os exact DragonFly 1.2 or newer"},
		{"a Mac's last SYN over IPv6", "6:64+0:0:1440:65535,0:mss,sok,eol+1::0", "os family macOS/iOS (fewer options), or FreeBSD or ESXi"},

		{"nmap's TCP sweep", "4:50+14:0:0:2048,0::ack+:0", "tool exact Nmap SYN scan"},
		{"SinFP", "4:250+5:0:1460:5840,1:mss,ts,ws,sok,eol+0:ack+:0", "tool exact SinFP"},
		{"an older sendsyn of p0f", "4:250+5:0:0:12345,0::ack+:0", "tool exact p0f sendsyn"},
		{"Windows with an acknowledgement number", "4:128:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+,ack+:0", "none"},

		{"gVisor with an MTU of 1380", "4:60+4:0:1340:26752,7:mss,sok,ts,nop,ws::0", "stack exact gVisor (a user-space stack)"},
		{"gVisor with a large MTU", "4:64:0:8960:65408,7:mss,sok,ts,nop,ws::0", "stack exact gVisor (a user-space stack)"},
		{"gVisor over IPv6, MTU 1280", "6:64:0:1220:24320,8:mss,sok,ts,nop,ws::0", "stack exact gVisor (a user-space stack)"},
		{"gVisor over IPv6, MTU 1420", "6:64:0:1360:27136,7:mss,sok,ts,nop,ws::0", "stack exact gVisor (a user-space stack)"},
		{"lwIP with scaling and SACK", "4:255:0:1460:65535,2:mss,nop,ws,nop,nop,sok::0", "stack exact lwIP (a user-space or embedded stack, options compiled in)"},
		{"lwIP with timestamps", "4:250+5:0:1460:5840,0:mss,nop,nop,ts:id-:0", "stack exact lwIP (a user-space or embedded stack, options compiled in)"},
		{"lwIP with everything, over IPv6", "6:255:0:1220:65535,2:mss,nop,nop,ts,nop,ws,nop,nop,sok::0", "stack exact lwIP (a user-space or embedded stack, options compiled in)"},
		{"a router's LDP, or lwIP with scaling", "4:255:0:1420:65535,5:mss,nop,ws::0", "stack exact lwIP (a user-space or embedded stack), or a router"},
		{"VPP's host stack", "4:255:0:1460:65535,9:mss,ws,sok,ts,eol+0:df:0", "stack exact VPP (a user-space stack)"},
		{"picoTCP", "4:64:0:1460:16384,0:mss,sok,ws,ts,nop,nop,nop,nop,eol+0:df,id+:0", "stack exact picoTCP (a user-space or embedded stack)"},
		{"mTCP", "4:64:0:1460:14600,7:mss,nop,nop,ts,nop,ws:df:0", "stack exact mTCP (a user-space stack)"},
		{"Linux without SACK is not mTCP", "4:64:0:1460:14600,7:mss,nop,nop,ts,nop,ws:df,id+:0", "os exact Linux 2.6.32 to 3.10, or newer with a small buffer"},
		{"FreeRTOS", "4:128:0:1400:2920,0:mss,nop,ws,nop,nop,sok::0", "stack exact FreeRTOS (an embedded stack)"},
		{"uIP", "4:64:0:446:446,0:mss::0", "stack exact uIP (an embedded stack, Contiki or alike)"},

		{"PlayStation Portable", "4:64:0:1460:16384,0:mss,nop,ws,nop,nop,ts:df,id+:0", "os exact FreeBSD 4.4, or PlayStation Portable"},
		{"Wii", "4:64:0:1460:8192,0:mss,nop,nop,sok:df,id+:0", "os exact Windows (TTL rewritten on the way), or Nintendo Wii"},
		{"Windows' last SYN with another MSS and a TTL of 64", "4:64:0:1400:8192,0:mss,nop,nop,sok:df,id+:0", "os family Windows Vista to 10, or Server 2008 to 2016"},
		{"Dreamcast", "4:60+4:0:536:2880,0:mss::0", "os exact Dreamcast (browser)"},

		{"Linux 4.9 with jumbo frames over IPv6", "6:64:0:8940:26820,7:mss,sok,ts,nop,ws:flow:0", "os exact Linux 3.10 to 4.19, or newer with a small buffer (jumbo frames)"},
		{"gVisor over IPv6, MTU 1408", "6:64:0:1348:26880,8:mss,sok,ts,nop,ws::0", "stack exact gVisor (a user-space stack)"},

		{"acknowledgement number set", "4:64+0:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+,ack+:0", "none"},
		{"data in the SYN", "4:64+0:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:+", "none"},
		{"IP options", "4:64+0:4:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0", "none"},
		{"nobody's layout", "4:64+0:0:1460:64240,7:ws,nop,mss:df,id+:0", "none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := answer(Builtin(), syn(t, test.syn)); got != test.want {
				t.Errorf("%s: got %q, want %q", test.syn, got, test.want)
			}
		})
	}
}

func table(t testing.TB, name, text string) *Database {
	t.Helper()
	db, err := Parse(name, strings.NewReader("classes = unix,win,proxy,stack\n[tcp:request]\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

const (
	tableSpecific = "label = s:unix:Alpha:1\nsig = *:64:0:*:8192,0:mss:df,id+:0\n"
	tableGeneric  = "label = g:unix:Beta:\nsig = *:64:0:*:*,0:mss::0\nsig = *:64:0:*:*,0:mss:df,id+:0\n"
	tableProxy    = "label = s:proxy:Relay:\nsig = 4:64:0:*:8192,0:mss:df,id+:0\n"
	tableStack    = "label = s:stack:tiny:\nsig = 4:64:0:*:8192,0:mss:df,id+,ecn?:0\n"
	tableTool     = "label = s:!:tool:\nsys = @unix\nsig = 4:64:0:*:8192,0:mss:df,id+:0\n"
)

func TestMatchPrefers(t *testing.T) {
	tests := []struct{ name, table, syn, want string }{
		{"specific before an earlier generic", tableGeneric + tableSpecific, "4:64:0:1460:8192,0:mss:df,id+:0", "os exact Alpha 1"},
		{"generic before an earlier fuzzy specific", tableSpecific + tableGeneric, "4:64:0:1460:8192,0:mss::0", "os family Beta"},
		{"fuzzy at last", tableSpecific, "4:64:0:1460:8192,0:mss::0", "os low Alpha 1"},
		{"tool before an earlier system", tableSpecific + tableTool, "4:64:0:1460:8192,0:mss:df,id+:0", "tool exact tool"},
		{"no tool for a mere likeness", tableTool, "4:64:0:1460:8192,0:mss::0", "none"},
		{"proxy before an earlier system", tableSpecific + tableProxy, "4:64:0:1460:8192,0:mss:df,id+:0", "proxy exact Relay"},
		{"system for a likeness of a proxy", tableProxy + tableSpecific, "4:64:0:1460:8192,0:mss::0", "os low Alpha 1"},
		{"proxy for a likeness in a layout of proxies", tableProxy, "4:64:0:1460:8192,0:mss::0", "proxy low Relay"},
		{"proxy for another TTL in a layout of proxies", tableProxy, "4:255:0:1460:8192,0:mss:df,id+:0", "proxy low Relay"},
		{"no proxy for a likeness in a stack's layout", tableProxy + tableStack, "4:64:0:1460:8192,0:mss::0", "stack low tiny"},
		{"stack in its place among systems", tableSpecific + tableStack, "4:64:0:1460:8192,0:mss:df,id+:0", "os exact Alpha 1"},
		{"stack before a later system", tableStack + tableSpecific, "4:64:0:1460:8192,0:mss:df,id+:0", "stack exact tiny"},
		{"system for a likeness of both", tableTool + tableSpecific, "4:64:0:1460:8192,0:mss::0", "os low Alpha 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := answer(table(t, "t", test.table), syn(t, test.syn)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Each signature is compared with packets that fit, nearly fit and do not fit.
func TestFieldsOfASignature(t *testing.T) {
	tests := []struct {
		name, sig, syn string
		want           Confidence
	}{
		{"version 4 with IPv4", "4:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss::0", Exact},
		{"version 4 with IPv6", "4:64:0:*:100,0:mss::0", "6:64:0:1460:100,0:mss::0", None},
		{"version 6 with IPv4", "6:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss::0", None},
		{"any version drops IPv4's quirks for IPv6", "*:64:0:*:100,0:mss:df,id+,0+:0", "6:64:0:1460:100,0:mss::0", Exact},
		{"any version drops IPv6's quirks for IPv4", "*:64:0:*:100,0:mss:flow:0", "4:64:0:1460:100,0:mss::0", Exact},
		{"flow label not spoken of", "6:64:0:*:100,0:mss::0", "6:64:0:1460:100,0:mss:flow:0", Exact},
		{"flow label demanded and missing", "6:64:0:*:100,0:mss:flow:0", "6:64:0:1460:100,0:mss::0", None},
		{"flow label demanded and there", "6:64:0:*:100,0:mss:flow:0", "6:64:0:1460:100,0:mss:flow:0", Exact},

		{"TTL at the greatest distance", "*:64:0:*:100,0:mss::0", "4:29+35:0:1460:100,0:mss::0", Exact},
		{"TTL beyond it", "*:64:0:*:100,0:mss::0", "4:28+36:0:1460:100,0:mss::0", Low},
		{"TTL above the initial", "*:64:0:*:100,0:mss::0", "4:65:0:1460:100,0:mss::0", Low},
		{"TTL far above a low initial", "*:32:0:*:100,0:mss::0", "4:255:0:1460:100,0:mss::0", Low},
		{"random TTL below the maximum", "*:64-:0:*:100,0:mss::0", "4:1:0:1460:100,0:mss::0", Exact},
		{"random TTL above the maximum", "*:64-:0:*:100,0:mss::0", "4:65:0:1460:100,0:mss::0", None},

		{"DF and ID lost", "*:64:0:*:100,0:mss:df,id+:0", "4:64:0:1460:100,0:mss::0", Low},
		{"DF lost, ID zero", "*:64:0:*:100,0:mss:df,id+:0", "4:64:0:1460:100,0:mss:id-:0", Low},
		{"ID lost", "*:64:0:*:100,0:mss:df,id+:0", "4:64:0:1460:100,0:mss:df:0", Low},
		{"DF gained", "*:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss:df,id+:0", None},
		{"ECN gained", "*:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss:ecn:0", Low},
		{"ECN lost", "*:64:0:*:100,0:mss:ecn:0", "4:64:0:1460:100,0:mss::0", None},
		{"optional quirk there", "*:64:0:*:100,0:mss:ecn?:0", "4:64:0:1460:100,0:mss:ecn:0", Exact},
		{"optional quirk not there", "*:64:0:*:100,0:mss:ecn?:0", "4:64:0:1460:100,0:mss::0", Exact},
		{"push gained", "*:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss:pushf+:0", None},

		{"MSS equal", "*:64:0:1460:100,0:mss::0", "4:64:0:1460:100,0:mss::0", Exact},
		{"MSS other", "*:64:0:1460:100,0:mss::0", "4:64:0:1459:100,0:mss::0", None},
		{"scale equal", "*:64:0:*:100,7:mss,nop,ws::0", "4:64:0:1460:100,7:mss,nop,ws::0", Exact},
		{"scale other", "*:64:0:*:100,7:mss,nop,ws::0", "4:64:0:1460:100,8:mss,nop,ws::0", None},
		{"scale any", "*:64:0:*:100,*:mss,nop,ws::0", "4:64:0:1460:100,8:mss,nop,ws::0", Exact},
		{"payload demanded", "*:64:0:*:100,0:mss::+", "4:64:0:1460:100,0:mss::+", Exact},
		{"payload demanded and missing", "*:64:0:*:100,0:mss::+", "4:64:0:1460:100,0:mss::0", None},
		{"payload any", "*:64:0:*:100,0:mss::*", "4:64:0:1460:100,0:mss::+", Exact},
		{"padding other", "*:64:0:*:100,0:mss,eol+3::0", "4:64:0:1460:100,0:mss,eol+7::0", None},
		{"padding not zero", "*:64:0:*:100,0:mss,eol+3::0", "4:64:0:1460:100,0:mss,eol+3:opt+:0", None},

		{"window any", "*:64:0:*:*,0:mss::0", "4:64:0:1460:1,0:mss::0", Exact},
		{"window equal", "*:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss::0", Exact},
		{"window other", "*:64:0:*:100,0:mss::0", "4:64:0:1460:101,0:mss::0", None},
		{"window a multiple", "*:64:0:*:%100,0:mss::0", "4:64:0:1460:700,0:mss::0", Exact},
		{"window no multiple", "*:64:0:*:%100,0:mss::0", "4:64:0:1460:701,0:mss::0", None},
		{"window in segments", "*:64:0:*:mss*4,0:mss::0", "4:64:0:1400:5600,0:mss::0", Exact},
		{"window in segments of Ethernet", "*:64:0:*:mss*4,0:mss::0", "4:64:0:1400:5840,0:mss::0", Exact},
		{"window in segments less timestamps", "*:64:0:*:mss*4,0:mss,nop,nop,ts::0", "4:64:0:1400:5552,0:mss,nop,nop,ts::0", Exact},
		{"window in segments, no timestamps", "*:64:0:*:mss*4,0:mss::0", "4:64:0:1400:5552,0:mss::0", None},
		{"window in segments, MSS too small", "*:64:0:*:mss*4,0:mss::0", "4:64:0:99:396,0:mss::0", None},
		{"window in segments of IPv6 over IPv4", "*:64:0:*:mss*4,0:mss::0", "4:64:0:1400:5760,0:mss::0", None},
		{"window in segments of IPv6", "*:64:0:*:mss*4,0:mss::0", "6:64:0:1400:5760,0:mss::0", Exact},
		{"window in packets", "*:64:0:*:mtu*4,0:mss::0", "4:64:0:1400:5760,0:mss::0", Exact},
		{"window in packets of Ethernet", "*:64:0:*:mtu*4,0:mss::0", "4:64:0:1400:6000,0:mss::0", Exact},
		{"window in packets of IPv6", "*:64:0:*:mtu*4,0:mss::0", "6:64:0:1400:5840,0:mss::0", Exact},
		{"whole segments", "*:64:0:*:fit65536,0:mss::0", "4:64:0:1000:65000,0:mss::0", Exact},
		{"whole segments, exactly 64 KiB", "*:64:0:*:fit65536,0:mss::0", "4:64:0:1024:65535,0:mss::0", Exact},
		{"whole segments, 64 KiB do not divide", "*:64:0:*:fit65536,0:mss::0", "4:64:0:1000:65535,0:mss::0", None},
		{"one segment less", "*:64:0:*:fit65536,0:mss::0", "4:64:0:1000:64000,0:mss::0", None},
		{"whole segments of a larger size", "*:64:0:*:fit65536,0:mss::0", "4:64:0:1300:64240,0:mss::0", Exact},
		{"whole segments of a smaller size", "*:64:0:*:fit65536,0:mss::0", "4:64:0:1461:64240,0:mss::0", None},
		{"buffer smaller than a segment", "*:64:0:*:fit33280,0:mss::0", "4:64:0:65495:33280,0:mss::0", Exact},
		{"whole segments without MSS", "*:64:0:*:fit65536,0:::0", "4:64:0:0:65535,0:::0", None},

		{"condition met", "4:64:0:*:100,0:mss:id=4711:0", "4:64:0:1460:100,0:mss:id=4711:0", Exact},
		{"condition not met", "4:64:0:*:100,0:mss:id=4712:0", "4:64:0:1460:100,0:mss:id=4711:0", None},
		{"condition not spoken of", "4:64:0:*:100,0:mss::0", "4:64:0:1460:100,0:mss:seq=dst:0", Exact},
		{"two conditions, one met", "4:64:0:*:100,0:mss:id=4711,seq=dst:0", "4:64:0:1460:100,0:mss:id=4711:0", None},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db := table(t, "t", "label = s:unix:A:\nsig = "+test.sig+"\n")
			if m := db.Match(syn(t, test.syn)); m.Confidence != test.want {
				t.Errorf("%s against %s: got %v, want %v", test.sig, test.syn, m.Confidence, test.want)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	db := table(t, "t", "label = s:unix:A:\nsig = *:64:0:*:100,0:mss::0\n")
	tests := []struct {
		name, syn string
		want      uint8
	}{
		{"from the signature", "4:20+44:0:1460:100,0:mss::0", 44},
		{"TTL above the signature's", "4:120+8:0:1460:100,0:mss::0", 8},
		{"unknown", "4:250+5:0:1460:100,0:nop,nop,nop,nop::0", 5},
		{"unknown, low TTL", "4:20+12:0:1460:100,0:nop,nop,nop,nop::0", 12},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if m := db.Match(syn(t, test.syn)); m.Distance != test.want {
				t.Errorf("got %d, want %d", m.Distance, test.want)
			}
		})
	}
}

func TestOnlyPureSYNsMatch(t *testing.T) {
	b := generate(t, signature(t, "4:64:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0"), variant{version: 4})
	for _, flags := range []packet.TCPFlags{packet.SYN | packet.ACK, packet.SYN | packet.RST, packet.SYN | packet.FIN, packet.ACK, 0} {
		b[20+13] = byte(flags)
		p := decoded(t, b)
		if m := Builtin().Match(p); m != (Match{}) {
			t.Errorf("flags %#x: got %+v", flags, m)
		}
		if s, ok := Observe(p); ok || s != (Signature{}) {
			t.Errorf("flags %#x: observed %v", flags, s)
		}
	}
	if m := Builtin().Match(new(packet.Packet)); m != (Match{}) {
		t.Errorf("zero packet: got %+v", m)
	}
}

func merged(t *testing.T, dbs ...*Database) *Database {
	t.Helper()
	db, err := Merge(dbs...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestMerge(t *testing.T) {
	p := syn(t, "4:64:0:1460:8192,0:mss:df,id+:0")
	alpha, beta := table(t, "a", tableSpecific), table(t, "b", strings.ReplaceAll(tableSpecific, "Alpha", "Gamma"))
	tool := table(t, "c", tableTool)
	for _, test := range []struct {
		name string
		db   *Database
		want string
	}{
		{"nothing", merged(t), "none"},
		{"one", merged(t, alpha), "os exact Alpha 1"},
		{"the earlier counts", merged(t, alpha, beta), "os exact Alpha 1"},
		{"in either order", merged(t, beta, alpha), "os exact Gamma 1"},
		{"a system before the tools of a later one", merged(t, alpha, tool), "os exact Alpha 1"},
		{"twice the same", merged(t, alpha, alpha), "os exact Alpha 1"},
		{"the zero database", new(Database), "none"},
		{"with the zero database", merged(t, new(Database), beta), "os exact Gamma 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := answer(test.db, p); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	want := []Label{{OS, "unix", "Alpha", "1"}, {OS, "unix", "Gamma", "1"}}
	if diff := cmp.Diff(want, merged(t, alpha, beta, alpha).Labels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestLabelsAreTheCallers(t *testing.T) {
	Builtin().Labels()[0].Name = "changed"
	if Builtin().Label(0).Name == "changed" {
		t.Error("the database was changed through Labels")
	}
}

func TestMatchesAtTheSameTime(t *testing.T) {
	p := syn(t, "4:64:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if m := Builtin().Match(p); m.Confidence != Exact {
					t.Error(m)
				}
			}
		})
	}
	wg.Wait()
}

func TestStrings(t *testing.T) {
	got := []string{
		None.String(), Low.String(), Family.String(), Exact.String(), Confidence(9).String(),
		OS.String(), Tool.String(), Proxy.String(), Stack.String(),
		Label{OS, "linux", "Linux", "4.19 or newer"}.String(), Label{Tool, "zmap", "ZMap", ""}.String(),
	}
	want := []string{
		"none", "low", "family", "exact", "invalid",
		"os", "tool", "proxy", "stack",
		"Linux 4.19 or newer", "ZMap",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
