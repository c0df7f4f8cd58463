; What SYNs look like, in the grammar of p0f version 3 with the additions that
; docs/fingerprints.md argues for: "fit65536", "ecn?", "id=54321" and the like, and
; the comment after a signature. That comment names the source of the row and the year
; in which it was seen, written or released.
;
; The first specific row that fits counts, tools and proxies before systems; of generic ones the
; first, if no specific one fits. Sources by short name:
;
;   p0f       p0f.fp of p0f 3.09b, M. Zalewski and contributors
;   pf.os     OpenBSD's and nftables' pf.os, which began as that of p0f 2
;   prads     etc/tcp-syn.fp of gamelinux/prads
;   Satori    fingerprints/tcp.xml of xnih/satori
;   zardaxt   the fingerprints of NikolaiT/zardaxt, labelled by user agent
;   huginn    huginn-net-db of biandratti/huginn-net, labelled by observation
;   FoxIO     technical_details/JA4T.md of FoxIO-LLC/ja4
;   nmap-os-db that of nmap 7.93: answers to SYNs, from which the layout of its own follows
;   F5 courses  tcpdump's output in f5devcentral/f5-agility-labs-*
;   MUNI      flows of Masaryk University, labelled by DHCP and user agent
;   nmap-os-db  that of Nmap 7.93: answers, not SYNs, so never the only source
;   NTLM      captures in which the sender's NTLM message tells its Windows build
;   captures  test captures of Zeek, tcpdump, mercury, nDPI and Wireshark
;   6.18      captured from Linux 6.18 under that setting
;   measured  captured from the tool itself, at the version given
;   a path    the source file that builds the packet, or the rule behind it
;
; IPv6 has neither DF nor ID; its hop limit comes from the router's advertisement
; where there is one (RFC 4861, section 6.3.4), 64 nearly always, and so does not tell
; Windows from other systems: the layout of the options does.

classes = linux,windows,apple,bsd,solaris,cisco,unix,embedded,console,other,proxy,stack

[tcp:request]

; ---- Tools: they write their SYNs by themselves and may borrow any layout.

; The sequence number is the target's address.
label = s:!:Mirai:scanner
sys   = @linux
sig   = 4:255-:0:0:*,0::seq=dst:0 ; jgamblin/Mirai-Source-Code, mirai/bot/scanner.c, 2016

; The ID is made of address, port and sequence number, whatever else is set. Debian's
; 1.3.2 sends no options: the length in its template leaves them out.
label = s:!:masscan:
sys   = @linux
sig   = 4:255-:0:0:1024,0::id=dst^dport^seq:0 ; measured, 1.3.2 of 2021
sig   = 4:255-:0:1460:1024,0:mss:id=dst^dport^seq:0 ; src/templ-pkt.c, 2014
sig   = 4:255-:0:1460:1025,0:mss:id=dst^dport^seq:0 ; src/templ-tcp-hdr.h, 2022
sig   = *:255:0:0:1024,0:::0 ; measured, 1.3.2 of 2021, IPv4 and IPv6
sig   = 4:255:0:1460:1024,0:mss::0 ; src/templ-pkt.c, 2014
sig   = *:255:0:1460:1025,0:mss::0 ; src/templ-tcp-hdr.h, 2022

; Up to 4.0 the ID is 54321 and there are no options; since 4.1 the ID is random, and
; the options are those of Windows, Linux or BSD, or the MSS alone. The MSS is IPv4's over
; IPv6 too, as no system has it there: that tells it at any hop limit.
label = s:!:ZMap:
sys   = @linux
sig   = 4:255-:0:1460:65535,*:mss,nop,ws,nop,nop,sok:id=54321:0 ; module_tcp_synscan.c, 2024
sig   = 4:255-:0:1460:65535,*:mss,sok,ts,nop,ws:id=54321:0 ; module_tcp_synscan.c, 2024
sig   = 4:255-:0:1460:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:id=54321:0 ; module_tcp_synscan.c, 2024
sig   = 4:255-:0:1460:65535,0:mss:id=54321:0 ; src/probe_modules/packet.c, 2023
sig   = 4:255-:0:0:65535,0::id=54321:0 ; measured, 2.1.1 of 2015
sig   = 4:255:0:1460:65535,8:mss,nop,ws,nop,nop,sok::0 ; module_tcp_synscan.c, 2024
sig   = 6:255-:0:1460:65535,8:mss,nop,ws,nop,nop,sok::0 ; module_tcp_synscan.c, 2024
sig   = 4:255:0:1460:65535,7:mss,sok,ts,nop,ws::0 ; module_tcp_synscan.c, 2024
sig   = 6:255-:0:1460:65535,7:mss,sok,ts,nop,ws::0 ; module_tcp_synscan.c, 2024
sig   = 4:255:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1::0 ; module_tcp_synscan.c, 2024
sig   = 6:255-:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1::0 ; module_tcp_synscan.c, 2024
sig   = *:255:0:1460:65535,0:mss::0 ; module_tcp_synscan.c, 2024
sig   = *:255:0:0:65535,0:::0 ; measured, 2.1.1 of 2015

; TTL from 37 to 59; over IPv6 a hop limit of 255. Old versions sent no MSS.
label = s:!:Nmap:SYN scan
sys   = @linux,@windows,@bsd,@apple
sig   = 4:64-:0:1460:1024,0:mss::0 ; measured, 7.93 of 2022; p0f 2014
sig   = 6:255:0:1460:1024,0:mss::0 ; measured, 7.93 of 2022
sig   = 4:64-:0:1460:2048,0:mss::0 ; p0f 2014
sig   = 4:64-:0:1460:3072,0:mss::0 ; p0f 2014
sig   = 4:64-:0:1460:4096,0:mss::0 ; p0f 2014
sig   = 4:64-:0:0:1024,0::ack+?:0 ; pf.os 2004, prads (TCP sweep) 2006
sig   = 4:64-:0:0:2048,0::ack+?:0 ; pf.os 2004, prads (TCP sweep) 2006
sig   = 4:64-:0:0:3072,0::ack+?:0 ; pf.os 2004, prads (TCP sweep) 2006
sig   = 4:64-:0:0:4096,0::ack+?:0 ; pf.os 2004, prads (TCP sweep) 2006
label = s:!:Nmap:OS detection
sys   = @linux,@windows,@bsd,@apple
sig   = *:64-:0:1460:1,10:ws,nop,mss,ts,sok:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:1400:63,0:mss,ws,sok,ts,eol+0:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:640:4,5:ts,nop,nop,ws,nop,mss:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:0:4,10:sok,ts,ws,eol+0:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:536:16,10:mss,sok,ts,ws,eol+0:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:265:512,0:mss,sok,ts:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:265:31337,10:ws,nop,mss,ts,sok:ack+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = *:64-:0:1460:3,10:ws,nop,mss,sok,nop,nop:ecn,uptr+:0 ; measured, 7.93 of 2022; p0f 2014
sig   = 4:64-:0:265:1024,10:ws,nop,mss,ts,eol+1:ack+?,opt+?:0 ; pf.os 2004
sig   = 4:64-:0:265:2048,10:ws,nop,mss,ts,eol+1:ack+?,opt+?:0 ; pf.os 2004
sig   = 4:64-:0:265:3072,10:ws,nop,mss,ts,eol+1:ack+?,opt+?:0 ; pf.os 2004
sig   = 4:64-:0:265:4096,10:ws,nop,mss,ts,eol+1:ack+?,opt+?:0 ; pf.os 2004

; The kernel writes the IP header: DF, and an ID that counts.
label = s:!:naabu:
sys   = @linux
sig   = *:64:0:1460:1024,0:mss:df,id+:0 ; projectdiscovery/naabu, v2/pkg/scan, 2021
sig   = *:64:0:4660:1024,0:mss:df?,id+?:0 ; projectdiscovery/naabu, 2019

; Sequence number 0 and ID 1 unless told otherwise.
label = s:!:Scapy:
sys   = @linux
sig   = *:64:0:0:8192,0::seq-:* ; scapy/layers/inet.py, 2023
sig   = 4:64:0:0:8192,0::id=1:* ; scapy/layers/inet.py, 2023
sig   = *:64:0:*:8192,0:mss:seq-:* ; scapy/layers/inet.py, 2023
sig   = 4:64:0:*:8192,0:mss:id=1:* ; scapy/layers/inet.py, 2023

label = s:!:hping:
sys   = @linux
sig   = *:64:0:0:512,0::ack+?:* ; measured, 3.a2 of 2014; hping2.h

; Of the systems that its option -W copies, the one with random bytes for an MD5
; signature is nobody's.
label = s:!:Unicornscan:
sys   = @linux
sig   = 4:255-:0:1024:*,0:mss,sok,?19:df,id+?:0 ; robertelee78/unicornscan, docs/research/TCP_OPTION_19_RESEARCH.md, 2025

label = s:!:NAST:SYN scan
sys   = @linux
sig   = 4:64:0:0:32767,0:::0 ; pf.os 2004

label = s:!:SinFP:
sys   = @linux
sig   = 4:255-:0:1460:5840,1:mss,ts,ws,sok,eol+0:ack+?:0 ; prads 2006

label = s:!:p0f:sendsyn
sys   = @linux
sig   = 4:255:0:0:12345,0::ack+:0 ; prads 2006
sig   = *:192:0:1331:1337,0:mss,nop,eol+18::0 ; p0f 2014
sig   = *:192:0:1331:1337,0:mss,ts,nop,eol+8::0 ; p0f 2014
sig   = *:192:0:1331:1337,5:mss,ws,nop,eol+15::0 ; p0f 2014
sig   = *:192:0:1331:1337,0:mss,sok,nop,eol+16::0 ; p0f 2014
sig   = *:192:0:1331:1337,5:mss,ws,ts,nop,eol+5::0 ; p0f 2014
sig   = *:192:0:1331:1337,0:mss,sok,ts,nop,eol+6::0 ; p0f 2014
sig   = *:192:0:1331:1337,5:mss,ws,sok,nop,eol+13::0 ; p0f 2014
sig   = *:192:0:1331:1337,5:mss,ws,sok,ts,nop,eol+3::0 ; p0f 2014

; Under user agents of Windows and macOS alike.
label = s:!:Traffic generator:
sys   = @windows
sig   = 4:128:0:1460:32769,1:mss,ws,eol+0::0 ; captures (nDPI) 2011

; Relays and proxies open connections of their own, so their SYNs do not show the
; client's system. Seen under the user agents of every system.
label = s:proxy:Privacy relay:
sig   = 4:64:0:*:65535,12:mss,nop,ws,sok,ts:df,ecn?:0 ; zardaxt 2023, huginn 2026
sig   = 4:64:0:*:65535,9:mss,nop,ws,sok,ts:df,ecn:0 ; zardaxt 2023
sig   = 4:64:0:*:65535,5:mss,nop,ws,sok,ts:df,ecn:0 ; zardaxt 2023
label = s:proxy:Mobile carrier:
sig   = 4:255:0:*:65535,7:mss,nop,ws,sok,ts:df,id+:0 ; huginn 2026
sig   = 4:255:0:*:65535,9:mss,nop,ws,sok,ts:df,id+:0 ; huginn 2026
sig   = 4:255:0:1350:65535,8:mss,sok,ts,nop,ws::0 ; zardaxt 2023
sig   = 4:255:0:*:65535,10:mss,nop,nop,sok,nop,ws:df,id+?:0 ; zardaxt 2023
; Both under Android's user agents. FreeBSD has sent ID 0 since 11.
sig   = 4:64:0:*:65535,4:mss,nop,ws,sok,ts:df,id+:0 ; huginn 2026
sig   = 4:64:0:*:65535,*:mss,nop,ws,nop,nop,sok,nop,nop,ts::0 ; zardaxt 2023

; TMOS, the system of BIG-IP, has a TCP stack of its own that descends from FreeBSD's. It offers
; a few segments (init-rwnd): 3 by default, 10 in recent releases, 16 in the profiles for
; mobile networks and progressive. Systems whose layouts it shares send no multiples of the
; MSS, or other ones. The TTL is 255, or the client's (ip-ttl-mode), and so is DF
; (ip-df-mode). Up to 13.1 the layouts are those of FreeBSD 6, later those of FreeBSD 7.
label = s:proxy:F5 BIG-IP:or alike
sig   = *:255-:0:*:mss*3,*:mss,nop,ws,sok,ts:df?,id+?,id-?,ecn?:0 ; zardaxt 2023; by the rule of those below, 2026
sig   = *:255-:0:*:mss*10,*:mss,nop,ws,sok,ts:df?,id+?,id-?,ecn?:0 ; F5 courses (Bonus Lab 6) 2026
sig   = *:255-:0:*:mss*16,*:mss,nop,ws,sok,ts:df?,id+?,id-?,ecn?:0 ; F5 courses (BIG-IP Next) 2023
sig   = *:255-:0:*:mss*3,*:mss,nop,ws,sok,eol+1:df?,id+?,id-?,ecn?:0 ; zardaxt 2023; nmap-os-db, BIG-IP 3650, 2022
sig   = *:255-:0:*:mss*10,*:mss,nop,ws,sok,eol+1:df?,id+?,id-?,ecn?:0 ; by the rule of those with timestamps, 2026
sig   = *:255-:0:*:mss*16,*:mss,nop,ws,sok,eol+1:df?,id+?,id-?,ecn?:0 ; by the rule of those with timestamps, 2023
sig   = 4:255-:0:*:mss*42,*:mss,nop,ws,sok,eol+1:df?,id+?,id-?,ecn?:0 ; zardaxt 2023
sig   = *:255-:0:*:mss*3,0:mss,sok,eol+1:df?,id+?,id-?,ecn?:0 ; F5 courses (firewall, class 1, lab 7); Satori 2020, SYN+ACK
sig   = *:255-:0:*:mss*10,0:mss,sok,eol+1:df?,id+?,id-?,ecn?:0 ; F5 courses (Bonus Lab 6) 2026, the last of unanswered SYNs
sig   = *:255-:0:*:mss*16,0:mss,sok,eol+1:df?,id+?,id-?,ecn?:0 ; by the rule of that with 10 segments, 2026
sig   = *:255-:0:*:mss*3,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df?,id+?,id-?,ecn?:0 ; prads 2010, SYN+ACK; nmap-os-db, BIG-IP 3650, 2022
sig   = *:255-:0:*:mss*16,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df?,id+?,id-?,ecn?:0 ; by the rule of that with 3 segments, 2017
sig   = *:255-:0:*:mss*3,0:mss,nop,nop,ts,sok,eol+1:df?,id+?,id-?,ecn?:0 ; Satori 2019; dehowell/tcpdump-vtcodecamp2016
sig   = 4:255:0:*:mss*3,0:mss,sok,ts:df?,id+?,id-?,ecn?:0 ; FoxIO 2024, SYN+ACK; F5 courses, SYN+ACK
sig   = 4:255:0:*:mss*3,0:mss,nop,ws,nop,nop,ts:df?,id+?,id-?,ecn?:0 ; prads 2010, SYN+ACK
label = g:proxy:Load balancer:or accelerator
sig   = *:255-:0:*:*,0:mss,nop,nop,ts,sok,eol+1:df?,id+?,id-?,ecn?:0 ; no system writes it: scaling and timestamps are given up together in XNU and FreeBSD, 2024
; 8190 bytes unless its buffers were set, and a TTL of 255 (nmap-os-db).
label = s:proxy:NetScaler:
sig   = *:255:0:*:8190,0:mss:df?,id+?,id-?,ecn?:0 ; nmap-os-db, SYN+ACK, 2022; prads 2010, SYN+ACK
sig   = *:255:0:*:8190,*:mss,nop,ws,nop,nop,sok:df?,id+?,id-?,ecn?:0 ; captures (Zeek) 2016; nmap-os-db, the window and the TTL, 2022
label = s:proxy:CacheFlow:
sig   = 4:64:0:1460:65535,0:mss,nop,ws,nop,nop,ts::0 ; pf.os 2004; nmap-os-db, SGOS 4, 2022
label = g:proxy:CacheFlow:
sig   = *:255-:0:*:*,*:mss,nop,ws,sok,ts,eol+3:df?,id+?,id-?,ecn?:0 ; nmap-os-db, CacheFlow 5000, SYN+ACK, 2022

; ---- Linux, and with it Android and ChromeOS. net/ipv4/tcp_output.c,
; tcp_options_write, gives the layouts: SACK goes in front of the timestamps where both
; are there, and NOPs fill up what is switched off.

; A version is named by what its kernel does when nothing is set. The window can be set to
; any smaller number of segments: by SO_RCVBUF or TCP_WINDOW_CLAMP (with a small scale), by
; tcp_rmem, and by a route's window or initrwnd. So a label of an older kernel's window
; adds "or newer with a small buffer", which stands for all of these.

; As many whole segments as fit into 64 KiB: commit a337531b942b, 4.20, which went into
; 4.19.86 too, and so into Debian 10. The scale follows tcp_rmem[2], which depends on memory
; and is 32 MB since commit 572be9bf9d0d, 6.16.
label = s:linux:Linux:4.19 or newer (64 KiB buffer), or illumos
sig   = *:64:0:*:fit65536,1:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; 6.18 with SO_RCVBUF, 2026; illumos inet/tcp/tcp_output.c, 2023
label = s:linux:Linux:4.19 or newer
sig   = *:64:0:*:fit65536,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; 6.18, 2026
sig   = 4:64:0:*:fit65536,*:mss,sok,ts,nop,ws:id-,ecn?:0 ; huginn 2026, through NAT64
sig   = *:64:0:*:fit65536,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; 6.18 tcp_timestamps=0, 2026
sig   = *:64:0:*:fit65536,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0 ; 6.18 tcp_sack=0, 2026
sig   = *:64:0:*:fit65536,*:mss,nop,ws:df,id+,ecn?:0 ; 6.18 tcp_sack=0 tcp_timestamps=0, 2026
sig   = *:64:0:*:fit65536,0:mss,sok,ts:df,id+,ecn?:0 ; 6.18 tcp_window_scaling=0, 2026
sig   = 4:64:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?:0 ; tcp_options_write, 2018
sig   = *:64:0:*:fit65536,0:mss,nop,nop,ts:df,id+,ecn?:0 ; tcp_options_write, 2018
sig   = *:64:0:*:fit65536,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:* ; 6.18 MPTCP, 2026
sig   = *:64:0:*:fit65536,*:mss,nop,nop,sok,nop,ws,?30:df,id+,ecn?:* ; tcp_options_write, 2020
sig   = *:64:0:*:fit65536,*:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,ecn?:* ; 6.18 Fast Open, 2026
; Kind 19 is the signature of RFC 2385, which routing protocols use: BGP, LDP and MSDP. It
; comes first and leaves no room for timestamps. BGP sets a TTL of 1 or 255 for many peers.
sig   = *:64:0:*:fit65536,*:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG, 2026
sig   = *:64:0:*:fit65536,*:nop,nop,?19,mss,nop,ws:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG tcp_sack=0, 2026
sig   = *:64:0:*:fit65536,0:nop,nop,?19,mss,nop,nop,sok:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG tcp_window_scaling=0, 2026
sig   = *:64:0:*:fit65536,0:nop,nop,?19,mss:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG tcp_sack=0 tcp_window_scaling=0, 2026

; Over loopback the buffer of 87380 bytes is the limit, half of which is window; and
; without the limit of segments it is everywhere.
label = s:linux:Linux:2.4 to 3.x (loopback)
sig   = *:64:0:16396:mss*2,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; p0f 2014
sig   = *:64:0:16376:mss*2,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; p0f 2014
sig   = 4:64:0:16396:32767,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; pf.os 2004
label = s:linux:Linux:2.2 (loopback)
sig   = *:64:0:3884:mss*8,0:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; pf.os 2004, p0f 2014
label = s:linux:Linux:3.x or 4.x, or newer with a small buffer (loopback)
sig   = 4:64:0:65495:43690,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; captures 2016
sig   = 6:64:0:65476:43690,*:mss,sok,ts,nop,ws:ecn?:0 ; captures 2016

; Half of that, 33280 bytes: the scaling ratio of commit dfa2f0483360 (6.6), put right in
; June 2024 (6.6.33, 6.9.4, 6.10). Ubuntu 24.04 was released with it. A tcp_rmem[1] of
; 65536 gives the same on the other kernels.
label = s:linux:Linux:3.10 to 4.19, or newer with a small buffer (jumbo frames)
sig   = 4:64:0:*:26880,7:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; tcp_default_init_rwnd at an MSS of 8960, 2013
sig   = 4:64:0:*:26883,7:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; tcp_default_init_rwnd at an MSS of 8961, 2013
sig   = 6:64:0:*:26820,7:mss,sok,ts,nop,ws:ecn?:0 ; tcp_default_init_rwnd at an MSS of 8940, 2013
label = s:linux:Linux:6.6 to 6.9, or 4.19 or newer with a small buffer
sig   = *:64:0:*:fit33280,7:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; Satori 2024, captures 2024
sig   = *:64:0:*:fit33280,7:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; tcp_options_write, 2024
sig   = *:64:0:*:fit33280,7:mss,nop,ws:df,id+,ecn?:0 ; tcp_options_write, 2024
sig   = *:64:0:*:fit33280,7:mss,sok,ts,nop,ws,?30:df,id+,ecn?:* ; tcp_options_write, 2024

; 65535 needs more than 64 KiB of buffer at the start. Android sets
; net.tcp_def_init_rwnd=60 (system/core, rootdir/init.rc); a large tcp_rmem[1] or
; SO_RCVBUF does the same elsewhere. ID 0: behind 464XLAT, whose translator sets none.
label = s:linux:Linux:(Android or tuned)
sig   = *:64:0:*:65535,*:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; zardaxt 2023, huginn 2026, 6.18 tcp_rmem, 2026
sig   = 4:64:0:*:65535,*:mss,sok,ts,nop,ws:id-,ecn?:0 ; huginn 2026, through NAT64
sig   = *:64:0:*:65535,*:mss,sok,ts,nop,ws,?30:df,id+?,ecn?:* ; captures 2019
sig   = *:64:0:*:65535,*:mss,nop,nop,sok,nop,ws:df,id+?,ecn?:0 ; zardaxt 2023, tcp_options_write

; A receive buffer set by hand gives a scale of 0 and any few segments.
label = s:linux:Linux:2.2, or newer with a small buffer
sig   = *:64:0:*:mss*20,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; p0f 2014, 6.18 with SO_RCVBUF, 2026

; Twenty segments: tcp_default_init_rwnd in net/ipv4/tcp_output.c from 3.11 on, and in the
; 3.10 of CentOS 7.
label = s:linux:Linux:3.10 to 4.19, or newer with a small buffer
sig   = *:64:0:*:mss*20,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; p0f 2014
sig   = *:64:0:*:mss*20,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; Satori 2018, huginn 2026, tcp_options_write
sig   = *:64:0:*:mss*20,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0 ; captures 2019
sig   = *:64:0:*:mss*20,*:mss,nop,ws:df,id+,ecn?:0 ; captures 2021
sig   = *:64:0:*:mss*20,0:mss,sok,ts:df,id+,ecn?:0 ; tcp_options_write, 2013
sig   = 4:64:0:*:mss*20,0:mss,nop,nop,sok:df,id+,ecn?:0 ; tcp_options_write, 2013
sig   = *:64:0:*:mss*20,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:* ; multipath-tcp.org, 2014
sig   = *:64:0:*:mss*20,*:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,ecn?:* ; RFC 7413, 2014
sig   = *:64:0:*:mss*20,*:mss,sok,ts,nop,ws,?254:df,id+,ecn?:* ; RFC 6994, Fast Open's number up to 4.0, 2013

label = s:linux:Linux:(Android or tuned)
sig   = *:64:0:*:fit43690,*:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; Satori 2020, huginn 2026, 6.18 tcp_rmem, 2026

; Ten segments: commit 356f039822b8, December 2010, 2.6.38, and in the 2.6.32 of CentOS 6.
label = s:linux:Linux:2.6.32 to 3.10, or newer with a small buffer
sig   = *:64:0:*:mss*10,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; p0f 2014, pf.os 2019
sig   = *:64:0:*:mss*10,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; p0f 2014, tcp_options_write
sig   = *:64:0:*:mss*10,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0 ; tcp_options_write, 2011
sig   = *:64:0:*:mss*10,*:mss,nop,ws:df,id+,ecn?:0 ; tcp_options_write, 2011
sig   = *:64:0:*:mss*10,0:mss,sok,ts:df,id+,ecn?:0 ; tcp_options_write, 2011
sig   = *:64:0:*:mss*10,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:* ; multipath-tcp.org, 2013
sig   = *:64:0:*:mss*10,*:mss,sok,ts,nop,ws,?254:df,id+,ecn?:* ; RFC 6994, 2013

; Four segments before that, RFC 2414. Up to 2.6.7 the scale was small.
label = s:linux:Linux:2.4 or early 2.6, or newer with a small buffer
sig   = *:64:0:*:mss*4,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004, p0f 2014
sig   = 4:64:0:*:mss*3,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004
sig   = 4:64:0:*:mss*2,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004
sig   = 4:64:0:*:mss*4,0:mss,nop,nop,sok,nop,ws:df,id+?,ecn?:0 ; pf.os 2004
label = s:linux:Linux:2.6, or newer with a small buffer
sig   = *:64:0:*:mss*4,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; pf.os 2014, p0f 2014
sig   = 4:64:0:*:mss*3,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; pf.os 2004
sig   = 4:64:0:*:mtu*4,7:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; pf.os 2014
sig   = *:64:0:*:mss*4,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; tcp_options_write, 2005
sig   = 4:64:0:*:mss*4,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0 ; prads 2010
sig   = 4:64:0:*:mss*4,0:mss,sok,ts:df,id+,ecn?:0 ; Satori 2007
sig   = 4:64:0:*:mss*4,*:mss,nop,ws:df,id+,ecn?:0 ; pf.os 2004
sig   = *:64:0:*:mss*4,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:* ; multipath-tcp.org, 2012
label = s:linux:Linux:2.6 (Android 1.5)
sig   = 4:64:0:*:mss*4,*:sok,ts,mss,nop,ws:df,id+,ecn?:0 ; prads 2009
label = s:linux:Linux:2.6 (Google crawler)
sig   = 4:64:0:1430:mss*4,6:mss,sok,ts,nop,ws::0 ; p0f 2014
label = s:linux:Linux:2.2, or newer with a small buffer
sig   = *:64:0:*:mss*22,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004, p0f 2014
sig   = *:64:0:*:mss*11,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004, p0f 2014
sig   = 4:64:0:*:mss*22,0:mss,nop,nop,sok,nop,ws:df,id+?,ecn?:0 ; pf.os 2004
sig   = 4:64:0:*:16384,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004
sig   = 4:64:0:*:32767,0:mss,sok,ts,nop,ws:df,id+?,ecn?:0 ; pf.os 2004

; gVisor's netstack, also in user-space VPNs: Linux's layout without DF, and twenty segments,
; or 65535 bytes, cut to a multiple of two to the scale. The scale is 7, or 8 with the 8 MiB
; of buffer that some programs set. Two SYNs over IPv6 are left out, because Linux sends them
; with a flow label: at an MTU of 1500, and of 1408, with a scale of 7.
label = s:stack:gVisor:(a user-space stack)
sig   = 4:64:0:1240:24704,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1240:24576,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1340:26752,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1340:26624,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1360:27136,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1360:27136,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1368:27264,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1368:27136,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1380:27520,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1380:27392,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1400:27904,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1400:27904,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1452:28928,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1452:28928,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1460:29184,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1460:29184,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:8960:65408,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:8960:65280,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:65495:65408,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:65495:65280,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1220:24320,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1220:24320,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1320:26368,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1320:26368,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1340:26752,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1340:26624,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1348:26880,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1360:27136,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1360:27136,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1380:27520,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1380:27392,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1432:28544,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1432:28416,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:1440:28672,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:8940:65408,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:8940:65280,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:65475:65408,7:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 6:64:0:65475:65280,8:mss,sok,ts,nop,ws::0 ; measured, gvisor.dev/gvisor of 2025
sig   = 4:64:0:1460:29184,7:mss,nop,nop,ts,nop,ws::0 ; measured, 2023

; No other system sends these layouts. The window is left open: SO_RCVBUF and tcp_rmem
; set it to any value.
label = g:linux:Linux:
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,ecn?:0 ; 6.18 with SO_RCVBUF, 2026; p0f 2014
sig   = *:64:0:*:*,0:mss,sok,ts:df,id+,ecn?:0 ; 6.18, 2026
sig   = *:64:0:*:*,*:mss,nop,nop,ts,nop,ws:df,id+,ecn?:0 ; 6.18, 2026
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,?30:df,id+,ecn?:* ; 6.18, 2026
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,ecn?:* ; 6.18, 2026
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,?254:df,id+,ecn?:* ; RFC 6994, 2013
sig   = *:64:0:*:*,*:mss,sok,ts,nop,ws,nop,nop,?254:df,id+,ecn?:0 ; smc_options_write, 2017
sig   = *:64:0:*:*,*:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG with SO_RCVBUF, 2026
sig   = *:64:0:*:*,*:nop,nop,?19,mss,nop,ws:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG with SO_RCVBUF, 2026
sig   = *:64:0:*:*,0:nop,nop,?19,mss,nop,nop,sok:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG with SO_RCVBUF, 2026
sig   = *:64:0:*:*,0:nop,nop,?19,mss:df,id+,ecn?:0 ; 6.18 TCP_MD5SIG with SO_RCVBUF, 2026
label = g:linux:Linux:(no timestamps)
sig   = *:64:0:*:*,*:mss,nop,nop,sok,nop,ws:df,id+,ecn?:0 ; p0f 2014
sig   = *:64:0:*:*,*:mss,nop,nop,sok,nop,ws,?34,nop,nop:df,id+,ecn?:* ; RFC 7413, tcp_options_write, 2014
sig   = 4:64:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?:0 ; tcp_options_write, 2005

; Carriers and firewalls that strip an option write NOPs over it, or close the gap. No system
; writes such layouts by itself, so they are Linux's at a TTL set anew, too.
label = g:linux:Linux:(timestamps stripped)
sig   = *:64:0:*:*,*:mss,sok,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+?,ecn?:0 ; p0f (BaiduSpider) 2014, zardaxt 2023
sig   = 4:255:0:*:*,*:mss,sok,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+?,ecn?:0 ; zardaxt 2023
sig   = 4:64:0:*:*,*:mss,sok,nop,nop,nop,ws:df,id+?,ecn?:0 ; zardaxt 2023
sig   = 4:255:0:*:*,*:mss,sok,nop,nop,nop,ws:df,id+?,ecn?:0 ; zardaxt 2023
sig   = *:64:0:*:*,*:mss,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,ws:df,id+?,ecn?:0 ; net/netfilter/xt_TCPOPTSTRIP.c, 2007
label = g:linux:Linux:(scaling stripped)
sig   = *:64:0:*:*,0:mss,sok,ts,nop,nop,nop,nop:df,id+?,ecn?:0 ; net/netfilter/xt_TCPOPTSTRIP.c, 2007

; ---- Windows: mss,nop,ws,nop,nop,sok; without scaling mss,nop,nop,sok; with
; timestamps the layout of FreeBSD, but a TTL of 128.

; 64240 at an MSS of 1460 and as many segments as fit into 64 KiB otherwise, or 65535, by
; network card and TCP profile. Servers ask for ECN.
label = s:windows:Windows:10 or newer
sig   = *:128:0:*:fit65536,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; NTLM builds 17763 to 19041, 2021; zardaxt 2023, captures 2024
sig   = *:128:0:*:65535,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; MUNI 2019, captures 2026
sig   = *:128:0:*:fit65536,8:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; Satori 2020, builds 1703 to 1909; over IPv6 as over IPv4
sig   = *:128:0:*:65535,8:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; huginn 2026; over IPv6 as over IPv4
sig   = 4:128:0:*:mss*12,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; MUNI 2019, Satori 2020
sig   = 4:128:0:*:mss*6,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; huginn 2026
sig   = 6:64:0:*:fit65536,8:mss,nop,ws,nop,nop,sok:ecn?:0 ; captures 2024
sig   = 6:64:0:*:65535,8:mss,nop,ws,nop,nop,sok:ecn?:0 ; captures 2020
sig   = 6:64:0:*:fit65536,8:mss,nop,ws,sok,ts:ecn?:0 ; as over IPv4: Satori 2020
sig   = 6:64:0:*:65535,8:mss,nop,ws,sok,ts:ecn?:0 ; as over IPv4: huginn 2026
; Over IPv6 a Linux with tcp_timestamps and tcp_window_scaling off looks like the last of
; Windows' unanswered SYNs. Windows is named alone: its clients send such SYNs daily, and a
; label with both would let them in as Linux.
sig   = 6:64:0:*:fit65536,0:mss,nop,nop,sok:ecn?:0 ; the last of unanswered SYNs, as over IPv4: Satori 2020
sig   = 6:64:0:*:65535,0:mss,nop,nop,sok:ecn?:0 ; the last of unanswered SYNs, as over IPv4: Satori 2020
label = s:windows:Windows:10 or newer, or Xbox One
sig   = 4:128:0:*:65518,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; MUNI 2019, Satori 2020

; 8192 by default until build 1607, with a scale of 8, or of 2 if auto-tuning is highly
; restricted. User agents of Windows 10 sent the latter in 2023 too, so no build is named.
label = s:windows:Windows:Vista to 10, or Server 2008 to 2016
sig   = *:128:0:*:8192,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; NTLM builds 6.0.6001 to 10.0.14393, 2017, captures 2017
sig   = *:128:0:*:8192,2:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; p0f 2014, pf.os 2014
sig   = *:128:0:*:8192,0:mss,nop,nop,sok:df,id+,ecn?:0 ; p0f 2014, Satori 2020
sig   = 4:128:0:*:8192,8:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; Satori 2020
sig   = *:128:0:*:8192,2:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; p0f 2014, Satori 2020
sig   = 4:128:0:*:8192,0:mss,sok,ts:df,id+,ecn?:0 ; Satori 2020
sig   = 6:64:0:*:8192,8:mss,nop,ws,nop,nop,sok:ecn?:0 ; captures 2017
sig   = 6:64:0:*:8192,2:mss,nop,ws,nop,nop,sok:ecn?:0 ; captures 2013
sig   = 6:64:0:*:8192,0:mss,nop,nop,sok:ecn?:0 ; p0f 2014
sig   = 6:64:0:*:8192,8:mss,nop,ws,sok,ts:ecn?:0 ; as over IPv4: Satori 2020
sig   = 6:64:0:*:8192,2:mss,nop,ws,sok,ts:ecn?:0 ; p0f 2014
sig   = 6:64:0:*:8192,0:mss,sok,ts:ecn?:0 ; as over IPv4: Satori 2020
sig   = 4:128:0:*:8192,8:mss,ws,nop,nop,nop,sok:df,id+:0 ; prads 2006, Vista's beta

; A program that sets its receive buffer sets the window, and the scale that goes with it.
label = s:windows:Windows:Vista or newer with a set buffer
sig   = *:128:0:*:8192,*:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; p0f 2014
sig   = 4:128:0:*:63443,6:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; huginn 2026
label = s:windows:Windows:98 to Server 2003, or newer with a set buffer
sig   = 4:128:0:*:65535,3:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; Satori 2020, build 1607
sig   = *:128:0:*:65535,0:mss,nop,ws,nop,nop,sok:df,id+:0 ; p0f 2014
sig   = *:128:0:*:65535,1:mss,nop,ws,nop,nop,sok:df,id+:0 ; p0f 2014
sig   = *:128:0:*:65535,2:mss,nop,ws,nop,nop,sok:df,id+:0 ; p0f 2014, Satori 2019
sig   = 4:128:0:*:32768,0:mss,nop,ws,nop,nop,sok:df,id+:0 ; Satori 2019
sig   = 4:128:0:*:32768,2:mss,nop,ws,nop,nop,sok:df,id+:0 ; Satori 2019
sig   = 4:128:0:*:32767,0:mss,nop,ws,nop,nop,sok:df,id+:0 ; pf.os 2004, as of 98
label = s:windows:Windows:2000, XP or Server 2003, or newer without scaling
sig   = *:128:0:*:16384,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; p0f 2014, Satori 2008
sig   = 4:128:0:*:64512,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004
sig   = 4:128:0:*:24576,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004, a multiple of 8192
sig   = 4:128:0:*:32768,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004, a multiple of 8192
sig   = 4:128:0:*:40960,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004, a multiple of 8192
sig   = 4:128:0:*:49152,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004, a multiple of 8192
sig   = 4:128:0:*:57344,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004, a multiple of 8192
sig   = 4:128:0:*:32767,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004
sig   = 4:128:0:*:40320,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004
sig   = 4:128:0:*:65520,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004
sig   = 4:128:0:*:mss*6,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004
sig   = 4:128:0:*:mss*12,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2004
sig   = 4:128:0:*:mss*20,0:mss,nop,nop,sok:df,id+,uptr+?:0 ; pf.os 2014
sig   = *:128:0:*:fit65536,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0 ; pf.os 2004, p0f 2014, Satori 2020
sig   = *:128:0:*:65535,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0 ; pf.os 2004, p0f 2014, Satori 2020
label = s:windows:Windows:2000, XP or Server 2003 (timestamps)
sig   = 4:128:0:*:*,*:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0 ; pf.os 2004
sig   = 4:128:0:*:*,0:mss,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0 ; prads 2006
label = s:windows:Windows:95, 98 or ME
sig   = 4:32:0:*:8192,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004
sig   = 4:32:0:*:mss*44,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004
sig   = 4:32:0:*:*,*:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0 ; pf.os 2004
sig   = 4:64:0:*:*,*:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0 ; pf.os 2004
sig   = 4:64:0:*:46080,3:mss,nop,ws,nop,nop,sok:df,id+:0 ; pf.os 2004
sig   = 4:64:0:*:44620,0:mss,nop,nop,sok::0 ; pf.os 2004
; At a TTL of 64 Windows 98 and ME sent what Linux sends with timestamps and scaling off.
; Linux is the commoner sender by far.
label = s:linux:Linux:without timestamps and scaling, or Windows 98 or ME
sig   = 4:64:0:*:mss*4,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004; 6.18 with SO_RCVBUF, 2026
sig   = 4:64:0:*:mss*6,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004; 6.18 with SO_RCVBUF, 2026
sig   = 4:64:0:*:mss*12,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004; 6.18 with SO_RCVBUF, 2026
sig   = 4:64:0:*:32767,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004; 6.18 with SO_RCVBUF, 2026
sig   = 4:64:0:*:37300,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004; 6.18 with SO_RCVBUF, 2026
sig   = 4:64:0:*:65535,0:mss,nop,nop,sok:df,id+,ecn?:0 ; 6.18 with tcp_rmem, 2026

; An urgent pointer without URG is left over in the buffer that 2000 and XP build a SYN in.
; Of an acknowledgement number without ACK there is no sighting: scanners set it, and
; a load balancer that has the layout and TTL of Windows.
label = g:windows:Windows:
sig   = *:128:0:*:*,*:mss,nop,ws,nop,nop,sok:df,id+,ecn?,uptr+?:0 ; p0f 2014
sig   = *:128:0:*:*,0:mss,nop,nop,sok:df,id+,ecn?,uptr+?:0 ; p0f 2014
sig   = *:128:0:*:*,*:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; p0f 2014, Satori 2020
sig   = 6:64:0:*:*,*:mss,nop,ws,nop,nop,sok:ecn?:0 ; captures 2024
; Kind 76 is Riverbed's, by which its accelerators find each other.
label = g:windows:Windows:(behind an accelerator)
sig   = *:128:0:*:*,*:mss,nop,ws,nop,nop,sok,?76,?76,nop,eol+0:df,id+,ecn?:0 ; IANA TCP parameters 2022, captures (Wireshark) 2020
label = g:windows:Windows:(TTL rewritten on the way)
sig   = 4:64:0:*:fit65536,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; huginn 2026
sig   = 4:64:0:*:65535,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; huginn 2026
sig   = 4:64:0:*:8192,8:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; huginn 2026
sig   = 4:64:0:*:8192,2:mss,nop,ws,nop,nop,sok:df,id+,ecn?:0 ; huginn 2026
label = s:windows:Windows:(TTL rewritten on the way), or Nintendo Wii
sig   = 4:64:0:1460:8192,0:mss,nop,nop,sok:df,id+:0 ; Satori (Wii) 2019, prads (Windows) 2006, nmap-os-db (Wii) 2022

; ---- Apple: XNU bsd/netinet/tcp_output.c, mss,nop,ws,nop,nop,ts,sok,eol+1.

; 65535 always; the scale grew with the buffers. It is the least that lets 65535 reach
; tcp_autorcvbuf_max, or the program's SO_RCVBUF, and at least tcp_win_scale, which is 3. The
; maximum depends on memory too: 512 KiB, a scale of 4, on small machines; more, in steps up
; to 4 MiB, a scale of 7, on others (bsd/netinet/tcp_subr.c, tcp_init and
; tcp_set_max_rwinscale). 10.8.5 was seen with 5. So a scale of 3 or more tells the oldest
; release that sends it, unless a program sets megabytes of buffer, and no last one. With
; DF the ID is 0 since 10.13 (net.inet.ip.rfc6864, bsd/netinet/ip_output.c); macOS 26 and
; many tunnels send it without DF. ECN, lately accurate ECN, on a part of all connections.
label = s:apple:macOS/iOS:(macOS 10.14, iOS 11 or newer)
sig   = *:64:0:*:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0 ; Satori 2020, zardaxt 2023, huginn 2026, XNU tcp_output.c 2024
sig   = 4:64:0:*:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:id-,ecn?:0 ; captures 2025, huginn 2026
sig   = *:64:0:*:65535,6:mss,nop,ws,?30,nop,nop,ts,sok,eol+1:df,id+?,ecn?:* ; XNU tcp_output.c with MPTCP, 2024
sig   = *:64:0:*:65535,7:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0 ; Satori 2020, zardaxt 2023, XNU tcp_output.c 2024
sig   = 4:64:0:*:65535,7:mss,nop,ws,nop,nop,ts,sok,eol+1:id-,ecn?:0 ; huginn 2026
label = s:apple:macOS/iOS:(Mac OS X 10.7, iOS 5 or newer)
sig   = *:64:0:*:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0 ; captures of 10.10 in 2015, Satori 2020, zardaxt 2023, XNU tcp_output.c 2024
sig   = 4:64:0:*:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:id-,ecn?:0 ; huginn 2026
sig   = *:64:0:*:65535,5:mss,nop,ws,?30,nop,nop,ts,sok,eol+1:df,id+?,ecn?:* ; XNU tcp_output.c with MPTCP, 2016
sig   = *:64:0:*:65535,4:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0 ; p0f 2014, Satori 2019
label = s:apple:macOS/iOS:(macOS 10.13, iOS 11 or newer, with a set buffer)
sig   = 4:64:0:*:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn?:0 ; Satori 2020
label = s:apple:macOS/iOS:(Mac OS X 10.5, iOS 5 or newer)
sig   = 4:64:0:*:10240,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0 ; Satori 2020
sig   = *:64:0:*:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0 ; p0f 2014, Satori 2010
; One host with 10.6.8 sent 3 from its SSH and HTTP clients and 2 from its FTP client, and one
; with 10.7 sent 1: the least scale did not yet bind a program's SO_RCVBUF.
label = s:apple:macOS/iOS:(iOS 3 to 8, or Mac OS X 10.4 to 10.7 with a set buffer)
sig   = *:64:0:*:65535,2:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0 ; prads 2010, captures of 10.6.8 in 2011, p0f 2014
label = s:apple:Mac OS X:10.4 to 10.7, or FreeBSD 6
sig   = *:64:0:*:65535,1:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0 ; Satori 2009, captures of 10.7 in 2012, p0f 2014
sig   = *:64:0:*:65535,0:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+,ecn?:0 ; prads 2010, Satori 2010; FreeBSD's sys/netinet/tcp_output.c as in TrustedBSD/sebsd, 2006
; FreeBSD sent the same then, and was the rarer client. The IPv6 of FreeBSD, NetBSD,
; OpenBSD and Mac OS X is KAME's, where one function writes the options for both versions.
label = s:apple:Mac OS X:10.2 to 10.4, or FreeBSD 4.7 to 5.2
sig   = *:64:0:*:65535,0:mss,nop,ws,nop,nop,ts:df,id+?:0 ; pf.os 2004, Satori 2009; KAME in XNU's bsd/netinet/tcp_output.c, 2003
sig   = *:64:0:*:65535,1:mss,nop,ws,nop,nop,ts:df,id+?:0 ; pf.os 2004, Satori 2009; KAME in XNU's bsd/netinet/tcp_output.c, 2003
sig   = *:64:0:*:32768,0:mss,nop,ws,nop,nop,ts:df,id+?:0 ; pf.os 2004; KAME in XNU's bsd/netinet/tcp_output.c, 2003
label = s:apple:Mac OS:9
sig   = 4:255:0:*:32768,0:mss,ws,nop:df,id+?:0 ; pf.os 2004
label = s:apple:Mac OS:7.3 to 8.6
sig   = 4:255:0:*:16616,0:mss,ws,eol+0:df,id+?:0 ; pf.os 2004, prads 2006

label = g:apple:macOS/iOS:
sig   = *:64:0:*:*,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ecn?:0 ; p0f 2014, Satori 2020
sig   = *:64:0:*:*,*:mss,nop,ws,?30,nop,nop,ts,sok,eol+1:df,id+?,ecn?:* ; XNU tcp_output.c with MPTCP, 2024
sig   = *:64:0:*:*,*:mss,nop,ws,nop,nop,ts,sok,?34:df,id+?,ecn?:* ; Satori 2020, zardaxt 2023, XNU tcp_output.c 2024
; Unanswered SYNs are sent again with fewer options, and middle boxes blank the
; timestamps. FreeBSD and ESXi give them up in the same way.
label = g:apple:macOS/iOS:(fewer options), or FreeBSD or ESXi
sig   = *:64:0:*:65535,0:mss,sok,eol+1:df,id+?,ecn?:0 ; Satori 2019; XNU tcp_output.c 2024
label = g:apple:macOS/iOS:(timestamps stripped)
sig   = 4:64:0:*:65535,*:mss,nop,ws,sok,eol+1:df,id+?,ecn?:0 ; zardaxt 2023
sig   = 4:64:0:*:65535,*:mss,nop,ws,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,sok,eol+1:df,id+?,ecn?:0 ; zardaxt 2023

; ---- BSD

; FreeBSD: sys/netinet/tcp_output.c, tcp_addoptions. With DF the ID is 0 since 11
; (net.inet.ip.rfc6864, sys/netinet/ip_id.c).
label = s:bsd:FreeBSD:11 or newer
sig   = 4:64:0:*:65535,6:mss,nop,ws,sok,ts:df,ecn?:0 ; captures 2022
; A router with pf's "scrub random-id" sets IDs in the SYNs of newer ones too.
; Sony's console is made of FreeBSD 9 and answers in the same way.
label = s:bsd:FreeBSD:9 or 10, or newer with rewritten IDs, or PlayStation 4
sig   = 4:64:0:*:65535,6:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; p0f 2014, pf.os 2019; nmap-os-db 2022
label = s:bsd:FreeBSD:9 or newer
sig   = 6:64:0:*:65535,6:mss,nop,ws,sok,ts:ecn?:0 ; p0f 2014, pf.os 2019
label = s:bsd:FreeBSD:7 or 8
sig   = *:64:0:*:65535,3:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; p0f 2014, Satori 2009
sig   = *:64:0:*:49152,3:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; Satori 2009; FreeBSD's sys/netinet/tcp_output.c, tcp_addoptions, 2008
; A kern.ipc.maxsockbuf of 16 MB gives FreeBSD the same scale.
label = s:bsd:VMware ESXi:or FreeBSD with larger buffers
sig   = 4:64:0:*:65535,9:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; Satori 2018
label = s:bsd:FreeBSD:5.3 or 5.4
sig   = *:64:0:*:65535,1:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0 ; prads 2006; FreeBSD's sys/netinet/tcp_output.c as in TrustedBSD/sebsd, 2006
; Over IPv6 there is no DF, which tells these apart over IPv4.
label = s:bsd:FreeBSD:4.4, or NetBSD 1.5
sig   = 6:64:0:*:16384,0:mss,nop,ws,nop,nop,ts::0 ; as over IPv4: pf.os 2004; KAME in XNU's bsd/netinet/tcp_output.c, 2003
; The console answers in the same way.
label = s:bsd:FreeBSD:4.4, or PlayStation Portable
sig   = 4:64:0:*:16384,0:mss,nop,ws,nop,nop,ts:df,id+?:0 ; pf.os 2004; nmap-os-db 2022
label = s:bsd:FreeBSD:4.4 to 5.2
sig   = *:64:0:*:57344,0:mss,nop,ws,nop,nop,ts:df,id+?:0 ; pf.os 2004; KAME in XNU's bsd/netinet/tcp_output.c, 2003
sig   = *:64:0:*:1024,0:mss,nop,ws,nop,nop,ts:df,id+?:0 ; pf.os 2004; KAME in XNU's bsd/netinet/tcp_output.c, 2003
label = g:bsd:FreeBSD:
sig   = *:64:0:*:65535,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0 ; p0f 2014

; TCP_RECVSPACE of 16 KiB, sys/netinet/tcp_usrreq.c.
label = s:bsd:OpenBSD:6.1 or newer
sig   = *:64:0:*:16384,6:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0 ; pf.os 2019, sys/netinet/tcp_usrreq.c 1.211
label = s:bsd:OpenBSD:4.9 to 6.0
sig   = *:64:0:*:16384,3:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0 ; pf.os 2014, p0f 2014
label = s:bsd:OpenBSD:3.0 to 4.8
sig   = *:64:0:*:16384,0:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0 ; pf.os 2004, p0f 2014
sig   = *:64:0:*:57344,0:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0 ; pf.os 2004; OpenBSD's sys/netinet/tcp_output.c, 2011
sig   = *:64:0:*:32768,0:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,ecn?:0 ; prads 2006; OpenBSD's sys/netinet/tcp_output.c, 2011
label = s:bsd:OpenBSD:2.6 to 4.8 (without DF)
sig   = 4:64:0:*:16384,0:mss,nop,nop,sok,nop,ws,nop,nop,ts::0 ; Satori 2009, pf.os 2004 (scrub no-df)
label = g:bsd:OpenBSD:
sig   = *:64:0:*:*,*:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+?,ecn?:0 ; pf.os 2019, sys/netinet/tcp_usrreq.c 1.211

; TCP_RECVSPACE of 32 KiB, sys/netinet/tcp_usrreq.c.
label = s:bsd:NetBSD:2 or newer
sig   = *:64:0:*:32768,*:mss,nop,ws,sok,nop,nop,nop,nop,ts:df,id+?,ts1-?,ecn?:0 ; prads 2006, captures 2013
label = s:bsd:NetBSD:1.6 or 2.0, or QNX 6
sig   = *:64:0:*:16384,0:mss,nop,ws,nop,nop,ts:df?,id+?,ts1-:0 ; pf.os 2004, prads 2006; KAME in NetBSD's sys/netinet/tcp_output.c, 2014
sig   = *:64:0:*:32768,0:mss,nop,ws,nop,nop,ts:df,id+?,ts1-:0 ; pf.os 2004, prads 2006; KAME in NetBSD's sys/netinet/tcp_output.c, 2014
sig   = *:64:0:*:65535,0:mss,nop,ws,nop,nop,ts:df?,id+?,ts1-:0 ; pf.os 2004; KAME in NetBSD's sys/netinet/tcp_output.c, 2014
sig   = *:64:0:*:65535,1:mss,nop,ws,nop,nop,ts:df,id+?,ts1-:0 ; pf.os 2004; KAME in NetBSD's sys/netinet/tcp_output.c, 2014
label = s:bsd:NetBSD:1.3, or OpenBSD 2.6
sig   = 4:64:0:*:16384,0:mss,nop,ws,nop,nop,ts::0 ; pf.os 2004
label = g:bsd:NetBSD:
sig   = *:64:0:*:*,*:mss,nop,ws,sok,nop,nop,nop,nop,ts:df,id+?,ts1-?,ecn?:0 ; captures 2013

label = s:bsd:DragonFly:1.2 or newer
sig   = *:64:0:*:57344,0:mss,nop,ws,nop,nop,sok,nop,nop,ts::0 ; pf.os 2010; DragonFly's sys/netinet/tcp_output.c, 2010
sig   = *:64:0:*:57344,5:mss,nop,ws,nop,nop,sok,nop,nop,ts::0 ; pf.os 2010; DragonFly's sys/netinet/tcp_output.c, 2010
label = s:bsd:BSD/OS:3.1 to 4.3, or Mac OS X 10.2
sig   = 4:64:0:1460:8192,0:mss,nop,ws,nop,nop,ts:df,id+:0 ; pf.os 2004

label = g:bsd:BSD:or a relative
sig   = *:64:0:*:*,*:mss,nop,ws,sok,ts:df,id+?,ecn?:0 ; FreeBSD's tcp_output.c, 2005
sig   = *:64:0:*:*,*:mss,nop,ws,nop,nop,ts:df,id+?,ts1-?,ecn?:0 ; pf.os 2004; KAME in XNU's bsd/netinet/tcp_output.c, 2003

; ---- With the MD5 signature of RFC 2385, kind 19. BSD and routers that are made of it write
; it behind the other options, IOS XR between them.

label = s:bsd:FreeBSD:7 or newer (TCP MD5 signature)
sig   = *:64:0:*:65535,*:mss,nop,ws,sok,ts,nop,nop,?19:df,id+?,ecn?:0 ; FreeBSD's sys/netinet/tcp_output.c, tcp_addoptions, 2008 to 2018
; Over IPv4 only: the code of the time left IPv6 unsigned.
label = s:bsd:FreeBSD:5.3 to 6 (TCP MD5 signature)
sig   = 4:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,?19,sok:df,id+,ecn?:0 ; FreeBSD's sys/netinet/tcp_output.c as in TrustedBSD/sebsd, 2006
sig   = 4:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,?19,eol+1:df,id+,ecn?:0 ; FreeBSD's sys/netinet/tcp_output.c as in TrustedBSD/sebsd, without SACK, 2006
; A key switches SACK off: sys/netinet/tcp_usrreq.c.
label = s:bsd:OpenBSD:4.9 or newer (TCP MD5 signature)
sig   = *:64:0:*:16384,*:mss,nop,ws,nop,nop,ts,?19,nop,nop:df,id+,ecn?:0 ; OpenBSD's sys/netinet/tcp_output.c, 2011 to 2023
label = g:bsd:BSD:or a relative (TCP MD5 signature)
sig   = *:64:0:*:*,*:mss,nop,ws,sok,ts,nop,nop,?19:df,id+?,ecn?:0 ; FreeBSD's sys/netinet/tcp_output.c, tcp_addoptions, 2008 to 2018
sig   = 4:64:0:*:*,*:mss,nop,ws,nop,nop,ts,?19,sok:df,id+,ecn?:0 ; FreeBSD's sys/netinet/tcp_output.c as in TrustedBSD/sebsd, 2006
sig   = *:64:0:*:*,*:mss,nop,ws,nop,nop,ts,?19,nop,nop:df,id+,ecn?:0 ; OpenBSD's sys/netinet/tcp_output.c, 2011 to 2023
; The TTL is the routing protocol's.
label = s:cisco:Cisco:IOS XR (TCP MD5 signature)
sig   = 4:255-:0:*:16384,0:mss,ws,nop,?19,eol+1:df?,id+?,id-?:0 ; tcpdump of a peer in osrg/gobgp, issue 2852, 2024; its order and window as in nmap-os-db, 2022

; ---- Other Unix

label = s:solaris:Solaris:10
sig   = *:64:0:*:mss*34,0:mss,nop,ws,nop,nop,sok:df,id+:0 ; p0f 2014, pf.os 2004
sig   = 4:64:0:*:32850,1:mss,nop,nop,ts,nop,ws,nop,nop,sok:df,id+:0 ; pf.os 2004
label = s:solaris:Solaris:9
sig   = 4:64:0:*:mss*34,0:mss,nop,nop,sok:df,id+:0 ; pf.os 2004
sig   = 4:64:0:*:32850,1:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+:0 ; prads 2006
label = s:solaris:Solaris:8
sig   = *:64:0:*:32850,1:nop,ws,nop,nop,ts,nop,nop,sok,mss:df,id+:0 ; p0f 2014
sig   = 4:64:0:*:mss*17,3:nop,ws,nop,nop,ts,nop,nop,sok,mss:df,id+,ts1-:0 ; pf.os 2004
sig   = 4:64:0:*:mss*17,0:nop,nop,sok,mss:df,id+:0 ; pf.os 2004
sig   = 4:64:0:*:mss*23,0:nop,nop,sok,mss:df,id+:0 ; prads 2006

label = s:unix:AIX:4.3 to 5.2
sig   = 4:64:0:512:16384,*:mss,nop,ws,nop,nop,ts::0 ; pf.os 2004
sig   = 4:64:0:512:32768,*:mss,nop,ws,nop,nop,ts::0 ; pf.os 2004
sig   = 4:64:0:512:65535,*:mss,nop,ws,nop,nop,ts::0 ; pf.os 2004
label = s:unix:AIX:5.3
sig   = 4:64:0:*:65535,1:mss,nop,ws,nop,nop,ts,nop,nop,sok::0 ; pf.os 2005
label = s:unix:HP-UX:
sig   = 4:64:0:*:32768,0:mss,ws,nop:df?,id+?:0 ; pf.os 2004, 11
sig   = 4:64:0:*:0,0:mss,ws,nop::0 ; pf.os 2004, 11.00
label = s:unix:IRIX:6
sig   = 4:64:0:*:49152,2:mss,nop,ws,nop,nop,sok::0 ; pf.os 2004
sig   = 4:64:0:*:49152,3:mss,nop,ws,nop,nop,sok::0 ; pf.os 2004
sig   = 4:64:0:*:61440,0:mss,nop,nop,sok::0 ; pf.os 2004
sig   = 4:64:0:*:49152,0:mss,nop,nop,sok::0 ; pf.os 2004
sig   = 4:64:0:*:49152,2:mss,nop,ws,nop,nop,ts,nop,nop,sok::0 ; pf.os 2004
label = s:unix:Tru64:or OpenVMS
sig   = 4:64:0:*:32768,0:mss,nop,ws:df?,id+?:0 ; pf.os 2004, p0f 2014
sig   = 4:64:0:*:61440,0:mss,nop,ws::0 ; pf.os 2004, p0f 2014
sig   = 4:128:0:1460:mtu*2,0:mss,nop,ws::0 ; p0f 2014
sig   = 4:64:0:*:6144,0:mss,nop,ws,nop,nop,ts:df,id+:0 ; pf.os 2004
label = s:unix:SCO:UnixWare or OpenServer
sig   = 4:64:0:1460:mss*3,0:mss,nop,ws,nop,nop,ts:df,id+:0 ; pf.os 2004
sig   = 4:64:0:1380:mss*17,0:mss,nop,ws,nop,nop,ts:df,id+:0 ; pf.os 2004

label = s:other:OS/400:
sig   = 4:64:0:1440:8192,0:mss,nop,ws,nop,nop,ts:df,id+:0 ; pf.os 2004
sig   = 4:64:0:1440:4096,0:mss,nop,ws,nop,nop,ts:df,id+:0 ; pf.os 2004
label = s:other:NetWare:
sig   = 4:128:0:*:6144,*:mss,ws,nop,sok,nop,nop:df,id+:0 ; pf.os 2004
label = s:other:BeOS:5
sig   = 4:255:0:*:1024,0:mss,nop,ws::0 ; pf.os 2004
; Its TTL and the order of its options are its own.
label = s:other:Haiku:
sig   = 4:254:0:*:65535,*:mss,nop,nop,ts,nop,ws,sok,eol+1:df?,id+?,id-?:0 ; haiku/haiku, network/protocols/tcp/tcp.cpp, 2014
label = s:other:Plan 9:
sig   = 4:255:0:1460:65535,0:mss,ws,nop::0 ; pf.os 2004

; ---- Stacks in user space or embedded. They say nothing of the host.

; With options that are off unless they are compiled in, in the order of tcp_output_segment:
; MSS, timestamps, scale, SACK. A scale is of use to windows above 65535 only, of which a SYN
; offers 65535. The counter of IDs begins with 0.
label = s:stack:lwIP:(a user-space or embedded stack, options compiled in)
sig   = *:255:0:*:65535,*:mss,nop,ws,nop,nop,sok:id-?:0 ; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
sig   = *:255:0:*:65535,*:mss,nop,nop,ts,nop,ws:id-?:0 ; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
sig   = *:255:0:*:65535,*:mss,nop,nop,ts,nop,ws,nop,nop,sok:id-?:0 ; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
sig   = *:255:0:*:mss*4,0:mss,nop,nop,sok:id-?:0 ; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
sig   = *:255:0:*:mss*4,0:mss,nop,nop,ts:id-?:0 ; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
sig   = *:255:0:*:mss*4,0:mss,nop,nop,ts,nop,nop,sok:id-?:0 ; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
; A router's LDP sent the same.
label = s:stack:lwIP:(a user-space or embedded stack), or a router
sig   = *:255:0:*:65535,*:mss,nop,ws:id-?:0 ; captures (tcpdump) 2023; lwip-tcpip/lwip, src/core/tcp_out.c, 2018
; Its window is the size of the session's buffer.
label = s:stack:VPP:(a user-space stack)
sig   = *:255:0:*:*,*:mss,ws,sok,ts,eol+0:df?,id+?,id-?:0 ; FDio/vpp, src/vnet/tcp/tcp_output.c and tcp_packet.h, 2020
; The room for SACK is counted by its kind, 4, and not by its length.
label = s:stack:picoTCP:(a user-space or embedded stack)
sig   = *:64:0:*:*,*:mss,sok,ws,ts,nop,nop,nop,nop,eol+0:df,id+?:0 ; tass-belgium/picotcp, modules/pico_tcp.c and pico_ipv4.c, 2019
; Each connection counts its IDs from 0, which Linux never sends with this window.
label = s:stack:mTCP:(a user-space stack)
sig   = 4:64:0:1460:14600,7:mss,nop,nop,ts,nop,ws:df:0 ; mtcp-stack/mtcp, mtcp/src/tcp_out.c and ip_out.c, 2020
; Half of a buffer of four segments. A segment to other networks is of 1400 bytes at most.
label = s:stack:FreeRTOS:(an embedded stack)
sig   = 4:128:0:*:mss*2,0:mss,nop,ws,nop,nop,sok:id-?:0 ; FreeRTOS/FreeRTOS-Plus-TCP, FreeRTOS_TCP_IP.c, 2021
; One segment, which is what its buffer has room for.
label = s:stack:uIP:(an embedded stack, Contiki or alike)
sig   = 4:64:0:*:mss*1,0:mss:id-?:0 ; adamdunkels/uip, uip/uipopt.h and uip.c, 2006
sig   = 4:255:0:346:mss*1,0:mss::0 ; prads (Contiki) 2006

; ---- An MSS alone, bare or padded, or no option at all. Locks, hubs, load balancers and
; whatever else writes packets by itself send it, and so do Windows NT, older Unix, and Linux
; with all options off: a window of some thousand does not tell which of them it was. So it
; is no system's, except for the few windows and MSS values that one source alone sends.

label = g:stack:Minimal stack:(no option but an MSS), or a tool
sig   = *:255-:0:*:*,0:mss:df?,id+?,id-?,ecn?:* ; captures 2014 to 2021, 6.18 2026, pf.os 2004
sig   = *:255-:0:*:*,0:mss,nop,nop,nop,nop:df?,id+?,id-?,ecn?:* ; RFC 9293 section 3.1, padding, 2022
sig   = *:255-:0:*:*,0:mss,nop,nop,nop,eol+0:df?,id+?,id-?,ecn?:* ; RFC 9293 section 3.1, padding, 2022
sig   = *:255-:0:*:*,0:mss,nop,nop,eol+1:df?,id+?,id-?,ecn?:* ; RFC 9293 section 3.1, padding, 2022
sig   = *:255-:0:*:*,0:mss,nop,eol+2:df?,id+?,id-?,ecn?:* ; RFC 9293 section 3.1, padding, 2022
sig   = *:255-:0:*:*,0:mss,eol+3:df?,id+?,id-?,ecn?:* ; RFC 9293 section 3.1, padding, 2022
; A device that always sends a header of the same length pads more. A firewall that strips all
; other options of a system leaves NOPs.
sig   = *:255-:0:*:*,0:mss,eol+7:df?,id+?,id-?,ecn?:* ; as those of 4 bytes, 2022
sig   = *:255-:0:*:*,0:mss,eol+11:df?,id+?,id-?,ecn?:* ; as those of 4 bytes, 2022
sig   = *:255-:0:*:*,0:mss,eol+15:df?,id+?,id-?,ecn?:* ; Satori 2009; as those of 4 bytes, 2022
sig   = *:255-:0:*:*,0:mss,nop,nop,nop,nop,nop,nop,nop,nop:df?,id+?,id-?,ecn?:* ; xt_TCPOPTSTRIP.c on Windows' options, 2007
sig   = *:255-:0:*:*,0:mss,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop:df?,id+?,id-?,ecn?:* ; xt_TCPOPTSTRIP.c on Linux' and FreeBSD's options, 2007
sig   = *:255-:0:*:*,0:mss,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,eol+1:df?,id+?,id-?,ecn?:* ; xt_TCPOPTSTRIP.c on Apple's options, 2007
label = g:stack:Minimal stack:(no options), or a tool
sig   = *:255-:0:0:*,0::df?,id+?,id-?,ecn?:* ; RFC 9293 section 3.1, 2022

; ---- Devices

label = s:cisco:Cisco:router or switch
sig   = 4:255:0:*:4128,0:mss:id-?:0 ; pf.os 2004, captures 2014
label = s:cisco:Cisco:ATA 186 or IP phone
sig   = 4:255:0:1456:16000,0:mss:ack+?,id-?:0 ; Satori 2019

; lwIP sends four segments unless told otherwise: opt.h, TCP_WND.
label = s:stack:lwIP:(a user-space or embedded stack)
sig   = 4:255:0:*:mss*4,0:mss:id-?:0 ; liblwip 2.1.3, opt.h, 2018; captures 2018
label = s:stack:lwIP:(a user-space or embedded stack, ESP32 or alike)
sig   = 4:64:0:1440:mss*4,0:mss:id-?:0 ; esp-idf, TCP_WND_DEFAULT, 2020
sig   = 4:64:0:1436:mss*4,0:mss:id-?:0 ; esp-idf, TCP_WND_DEFAULT, 2018
sig   = 4:64:0:1460:mss*4,0:mss:id-?:0 ; esp-idf, TCP_WND_DEFAULT, 2018
; Also in user-space VPNs.
label = s:stack:smoltcp:(a user-space or embedded stack)
sig   = *:64:0:*:*,*:mss,ws,sok,eol+2:df:0 ; smoltcp-rs/smoltcp, src/wire/tcp.rs and ipv4.rs, 2018
label = s:embedded:Brother:printer
sig   = 4:64:0:1460:8688,0:mss,nop,ws,nop,nop,sok,nop,nop,ts::0 ; Satori 2018
label = s:embedded:Netgear:WGR614
sig   = 4:64:0:1460:8192,0:mss,nop,ws,nop,nop,ts::0 ; Satori 2010
label = s:embedded:Symbian:
sig   = 4:64:0:1460:mss*22,0:mss,ts,sok:df,id+:0 ; pf.os 2004
sig   = 4:64:0:1360:mss*36,0:mss,ts,sok:df,id+:0 ; pf.os 2004
label = s:embedded:BlackBerry:
sig   = *:128:0:1452:65535,0:mss,nop,nop,sok,nop,nop,ts::0 ; p0f 2014
label = s:embedded:Junos:9
sig   = 4:64:0:1460:16384,0:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?:0 ; prads 2010
sig   = 4:64:0:1460:65535,1:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+?,ack+:0 ; prads 2010

label = s:console:Nintendo:Switch
sig   = *:64:0:1360:32768,6:mss,nop,ws,sok,ts:df,id+,ecn?:0 ; captures (nDPI) 2017
label = s:console:Nintendo:3DS
sig   = *:64:0:1360:32768,0:mss,nop,nop,sok:df,id+:0 ; p0f 2014
label = s:console:Nintendo:Wii
sig   = 4:64:0:1460:32768,0:mss,nop,nop,sok:df,id+:0 ; p0f 2014
label = s:console:Dreamcast:(browser)
sig   = 4:64:0:536:mtu*5,0:mss::0 ; prads 2006
label = s:console:PlayStation:3
sig   = 4:64:0:1460:65535,0:mss,nop,ws,sok,nop,nop,nop,nop,ts:df,id+?,ts1-?:0 ; prads 2010
label = s:console:Xbox 360:
sig   = 4:64:0:*:17520,0:mss,nop,ws,nop,nop,sok::0 ; Satori 2014

; What is left at a TTL of 128 with DF is Windows with options switched off.
label = g:windows:Windows:(fewer options)
sig   = 4:128:0:*:*,*:mss,nop,ws:df,id+:0 ; pf.os 2004
