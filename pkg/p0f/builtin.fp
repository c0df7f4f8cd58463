; What SYNs look like, in the grammar of p0f version 3 with the additions that
; ParseSignature documents. The first specific row that fits counts, so the
; order within a layout matters. Each row or block says where it is known from.
;
; Option layouts of the stacks:
;   Linux    mss,sok,ts,nop,ws                  net/ipv4/tcp_output.c, tcp_options_write
;   Windows  mss,nop,ws,nop,nop,sok
;   Apple    mss,nop,ws,nop,nop,ts,sok,eol+1    XNU bsd/netinet/tcp_output.c
;   FreeBSD  mss,nop,ws,sok,ts                  sys/netinet/tcp_output.c, tcp_addoptions
; Options that are switched off leave NOPs or nothing in their place.
;
; IPv6 has neither DF nor ID; its hop limit comes from the router's
; advertisement where there is one (RFC 4861, section 6.3.4), 64 almost always.

classes = linux,windows,apple,bsd,solaris,cisco

[tcp:request]

; ---- Tools: they write their SYNs by themselves and may borrow any layout.

; Mirai, bot/scanner.c as published in 2016: no options, no DF, random window
; and ID, and the sequence number is the target's address.
label = s:!:Mirai:scanner
sys   = @linux
sig   = 4:255-:0:0:*,0::seq=dst:0

; masscan, src/templ-pkt.c: TTL 255, window 1024, no DF, and an ID made of
; address, port and sequence number; 1.0 and before without options. The TTL
; can be set on the command line, the ID cannot.
label = s:!:masscan:
sys   = @linux
sig   = 4:255-:0:1460:1024,0:mss:id=dst^dport^seq:0
sig   = 4:255-:0:0:1024,0::id=dst^dport^seq:0
sig   = *:255:0:1460:1024,0:mss::0
sig   = *:255:0:0:1024,0:::0

; ZMap, src/probe_modules/packet.c and module_tcp_synscan.c: TTL 255, window
; 65535, no DF, ID 54321 unless randomised; since version 4 it borrows the
; options of Windows, Linux or BSD, or sends the MSS only, before that nothing.
label = s:!:ZMap:
sys   = @linux
sig   = 4:255-:0:*:65535,*:mss,nop,ws,nop,nop,sok:id=54321:0
sig   = 4:255-:0:*:65535,*:mss,sok,ts,nop,ws:id=54321:0
sig   = 4:255-:0:*:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:id=54321:0
sig   = 4:255-:0:*:65535,0:mss:id=54321:0
sig   = 4:255-:0:0:65535,0::id=54321:0
sig   = *:255:0:1460:65535,8:mss,nop,ws,nop,nop,sok::0
sig   = *:255:0:1460:65535,7:mss,sok,ts,nop,ws::0
sig   = *:255:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1::0
sig   = *:255:0:1460:65535,0:mss::0
sig   = *:255:0:0:65535,0:::0

; Nmap -sS, scan_engine_raw.cc: window 1024 (older versions: one of four up to
; 4096), MSS 1460, no DF, TTL from 37 to 59.
label = s:!:Nmap:SYN scan
sys   = @linux,@windows,@bsd,@apple
sig   = *:64-:0:1460:1024,0:mss::0
sig   = *:64-:0:1460:2048,0:mss::0
sig   = *:64-:0:1460:3072,0:mss::0
sig   = *:64-:0:1460:4096,0:mss::0

; Scapy, scapy/layers/inet.py, defaults of class TCP: window 8192, sequence
; number 0, no options; IP's: TTL 64, no DF, ID 1.
label = s:!:Scapy:
sys   = @linux
sig   = *:64:0:0:8192,0::seq-:*
sig   = *:64:0:0:8192,0:::*

; hping3 -S, hping2.h: window 512 (DEFAULT_SRCWINSIZE), TTL 64, no options.
label = s:!:hping:
sys   = @linux
sig   = *:64:0:0:512,0:::*

; ---- Linux

; Window as many whole segments as fit into 64 KiB: "tcp: up initial rmem to
; 128KB and SYN rwin to around 64KB", Linux 4.20. The scale
; follows tcp_rmem[2], which depends on memory and is 32 MB since commit 572be9bf9d0d
; (6.16). All of these captured from Linux 6.18: default, timestamps off,
; SACK off, both off, scaling off, Multipath TCP (?30), Fast Open (?34).
label = s:linux:Linux:4.20 or newer
sig   = *:64:0:*:fit65536,*:mss,sok,ts,nop,ws:df,id+,ecn?:0
sig   = *:64:0:*:fit65536,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0
sig   = *:64:0:*:fit65536,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0
sig   = *:64:0:*:fit65536,*:mss,nop,ws:df,id+,ecn?:0
sig   = *:64:0:*:fit65536,0:mss,sok,ts:df,id+,ecn?:0
sig   = *:64:0:*:fit65536,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:0
sig   = *:64:0:*:fit65536,*:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,ecn?:0

; Half of that, 33280 bytes: the scaling ratio of commit dfa2f0483360 (6.6),
; corrected in June 2024 by "tcp: increase the default TCP scaling ratio" (6.6.33,
; 6.9.4, 6.10). Ubuntu 24.04 was released with it. Scale as of tcp_rmem[2] = 6 MB.
label = s:linux:Linux:6.6 to 6.9
sig   = *:64:0:*:fit33280,7:mss,sok,ts,nop,ws:df,id+,ecn?:0

; 65535 needs more than 64 KiB of buffer at the start. Android sets
; net.tcp_def_init_rwnd=60 (system/core, rootdir/init.rc; SYNs from Android 5 to
; 14 in the Satori and zardaxt collections); a large tcp_rmem[1] or SO_RCVBUF
; does the same elsewhere (captured from Linux 6.18). ID 0: behind 464XLAT,
; whose translator sets none.
label = s:linux:Linux:(Android or tuned)
sig   = *:64:0:*:65535,*:mss,sok,ts,nop,ws:df,id+?,ecn?:0

; Twenty segments: tcp_default_init_rwnd() in net/ipv4/tcp_output.c from 3.11.
label = s:linux:Linux:3.11 to 4.19
sig   = *:64:0:*:mss*20,*:mss,sok,ts,nop,ws:df,id+,ecn?:0

; Over loopback the buffer of 87380 bytes is the limit, of which half is window.
; Captures in the test suites of Zeek and Mercury.
label = s:linux:Linux:3.x or 4.x (loopback)
sig   = *:64:0:65495:43690,*:mss,sok,ts,nop,ws:df,id+,ecn?:0
sig   = 6:64:0:65476:43690,*:mss,sok,ts,nop,ws:ecn?:0

; Ten segments: commit 356f039822b8 ("TCP: increase default initial receive
; window", December 2010).
label = s:linux:Linux:3.0 to 3.10
sig   = *:64:0:*:mss*10,*:mss,sok,ts,nop,ws:df,id+,ecn?:0

; Four segments: tcp_select_initial_window before that (RFC 2414). Up to 2.6.7
; the scale was 0, as OpenBSD's pf.os has it; later it follows the buffer.
label = s:linux:Linux:2.4 or 2.6 (up to 2.6.7)
sig   = *:64:0:*:mss*4,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0
label = s:linux:Linux:2.6
sig   = *:64:0:*:mss*4,*:mss,sok,ts,nop,ws:df,id+,ecn?:0

; The layouts with SACK in front of the timestamps are nobody else's, whatever
; the window: SO_RCVBUF and tcp_rmem make it any (captured from Linux 6.18).
; ?254 is Fast Open's experimental number, Linux 3.6 to 4.0 (RFC 6994).
label = g:linux:Linux:
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,ecn?:0
sig   = *:64:0:*:*,0:mss,sok,ts:df,id+,ecn?:0
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:0
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,ecn?:0
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,?254:df,id+,ecn?:*
sig   = *:64:0:*:mss*20,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0

label = g:linux:Linux:(no timestamps)
sig   = *:64:0:*:*,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0
sig   = *:64:0:*:mss*20,*:mss,nop,ws:df,id+,ecn?:0

; Carriers that strip timestamps leave NOPs for them, or close the gap
; (zardaxt collection, Android user agents).
label = g:linux:Linux:(timestamps stripped)
sig   = *:64:0:*:65535,*:mss,sok,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+?,ecn?:0
sig   = *:64:0:*:65535,*:mss,sok,nop,nop,nop,ws:df,id+?,ecn?:0

; All options off (captured from Linux 6.18): little is left to tell by.
label = g:linux:Linux:(barebone)
sig   = *:64:0:*:fit65536,0:mss:df,id+,ecn?:0
sig   = *:64:0:*:mss*20,0:mss:df,id+,ecn?:0

; ---- Windows

; 64240 at an MSS of 1460 and as many segments as fit into 64 KiB otherwise, or
; 65535, by network card and TCP profile: captures whose NTLM messages say build
; 17763 to 19041 (Zeek, Mercury), zardaxt and FoxIO collections. Servers
; ask for ECN. With timestamps on, FreeBSD's layout.
label = s:windows:Windows:10 or newer
sig   = *:128:0:*:fit65536,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0
sig   = *:128:0:*:65535,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0
sig   = *:128:0:*:fit65536,8:mss,nop,ws,sok,ts:df,id+,ecn?:0
sig   = 6:64:0:*:fit65536,8:mss,nop,ws,nop,nop,sok:ecn?:0
sig   = 6:64:0:*:65535,8:mss,nop,ws,nop,nop,sok:ecn?:0
sig   = 6:64:0:*:fit65536,8:mss,nop,ws,sok,ts:ecn?:0

; 8192: captures whose NTLM messages say build 6.0.6001 to 10.0.14393.
label = s:windows:Windows:7 to 10 (before 1703)
sig   = *:128:0:*:8192,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0
sig   = *:128:0:*:8192,2:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0
sig   = *:128:0:*:8192,0:mss,nop,nop,sok:df,id+,ecn?:0
sig   = *:128:0:*:8192,8:mss,nop,ws,sok,ts:df,id+,ecn?:0
sig   = 6:64:0:*:8192,8:mss,nop,ws,nop,nop,sok:ecn?:0
sig   = 6:64:0:*:8192,2:mss,nop,ws,nop,nop,sok:ecn?:0

; Windows 2000 to 11 with other windows: OpenBSD's pf.os, and 17520, 64512,
; 65518 and others in the flows of Masaryk University (MUNI).
label = g:windows:Windows:
sig   = *:128:0:*:*,*:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0
sig   = *:128:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?:0
sig   = 6:64:0:*:*,8:mss,nop,ws,nop,nop,sok:ecn?:0

; ---- Apple

; 65535 always; the scale grew with the buffers. ID 0 with DF since 10.13
; (net.inet.ip.rfc6864, XNU bsd/netinet/ip_output.c); ECN, lately accurate ECN,
; on a part of all connections. XNU 11417.101.15, Satori and zardaxt collections.
label = s:apple:macOS/iOS:(macOS 10.14, iOS 12 or newer)
sig   = *:64:0:*:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0
label = s:apple:macOS/iOS:(iOS 12 or newer)
sig   = *:64:0:*:65535,7:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0
label = s:apple:macOS/iOS:(macOS 10.11, iOS 9 or newer)
sig   = *:64:0:*:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0
; Captures with user agents of Mac OS X 10.5 to 10.9 (Zeek, PcapPlusPlus).
label = s:apple:Mac OS X:10.x
sig   = *:64:0:*:65535,4:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0
sig   = *:64:0:*:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0
sig   = *:64:0:*:65535,1:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0

label = g:apple:macOS/iOS:
sig   = *:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0
; After unanswered SYNs the options are given up one by one, and middle boxes
; blank the timestamps (Satori and zardaxt collections).
label = g:apple:macOS/iOS:(fewer options)
sig   = *:64:0:*:65535,0:mss,sok,eol+1:df,id+?,ecn?:0
sig   = *:64:0:*:65535,*:mss,nop,ws,sok,eol+1:df,id+?,ecn?:0
sig   = *:64:0:*:65535,*:mss,nop,ws,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,sok,eol+1:df,id+?,ecn?:0

; ---- BSD

; ID 0 with DF since 11 (net.inet.ip.rfc6864, sys/netinet/ip_id.c); tcpdump's
; accecn_handshake.pcap (2022); OpenBSD's pf.os for 9.0 to 12.0.
label = s:bsd:FreeBSD:11 or newer
sig   = 4:64:0:*:65535,6:mss,nop,ws,sok,ts:df,ecn?:0
label = s:bsd:FreeBSD:9 or 10
sig   = 4:64:0:*:65535,6:mss,nop,ws,sok,ts:df,id+,ecn?:0
label = s:bsd:FreeBSD:9 or newer
sig   = 6:64:0:*:65535,6:mss,nop,ws,sok,ts:ecn?:0

; TCP_RECVSPACE of 16 KiB, sys/netinet/tcp_usrreq.c; the scale since revision
; 1.211 (6.1), before that as pf.os has it.
label = s:bsd:OpenBSD:6.1 or newer
sig   = *:64:0:*:16384,6:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0
label = s:bsd:OpenBSD:4.9 to 6.0
sig   = *:64:0:*:16384,3:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0
label = s:bsd:OpenBSD:3.0 to 4.8
sig   = *:64:0:*:16384,0:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0

; TCP_RECVSPACE of 32 KiB, sys/netinet/tcp_usrreq.c; captures in the test
; suites of Zeek and tcpdump.
label = s:bsd:NetBSD:6 or newer
sig   = *:64:0:*:32768,*:mss,nop,ws,sok,nop,nop,nop,nop,ts:df,id+?,ecn?:0

; ---- Others

; OpenBSD's pf.os, and captures of tcpdump's test suite.
label = s:cisco:Cisco IOS:
sig   = 4:255:0:*:4128,0:mss:id-?:0
