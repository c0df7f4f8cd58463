package kernlog_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/pkg/kernlog"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/test/captures"
)

// article is a line from the fwknop article of 2004: Linux 2.6, iptables with
// --log-tcp-options.
const article = "Nov 23 23:36:01 orthanc kernel: FWKNOP IN=eth0 OUT= MAC=00:a0:cc:28:42:5a:00:a0:cc:28:42:5b:08:00 " +
	"SRC=192.168.10.2 DST=192.168.10.1 LEN=60 TOS=0x10 PREC=0x00 TTL=64 ID=54983 DF PROTO=TCP SPT=34111 DPT=50053 " +
	"WINDOW=5840 RES=0x00 SYN URGP=0 OPT (020405B40402080A03C93CF30000000001030300)"

// Lines that Linux 6.18 wrote for nft's log statement, as dmesg prints them. Some of
// the packets were forged.
const (
	mac4  = "MAC=00:00:00:00:00:00:00:00:00:00:00:00:08:00 "
	addr4 = "SRC=192.0.2.1 DST=192.0.2.1 "
	mac6  = "MAC=00:00:00:00:00:00:00:00:00:00:00:00:86:dd "
	addr6 = "SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0001 "

	all4      = "[15830.174764] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=54466 DF PROTO=TCP SPT=59756 DPT=1001 SEQ=1205098219 ACK=0 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080A9EC05A71000000000103030A) "
	all6      = "[15830.245454] ALL IN=lo OUT= " + mac6 + addr6 + "LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=389425 PROTO=TCP SPT=38854 DPT=1001 SEQ=1521299424 ACK=0 WINDOW=65476 RES=0x00 SYN URGP=0 OPT (0204FFC40402080A9F2FC628000000000103030A) "
	noSpace4  = "[15830.316130] OPTONLYIN=lo OUT= " + mac4 + addr4 + "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=19876 DF PROTO=TCP SPT=35524 DPT=1002 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080A205BC842000000000103030A) "
	noSpace6  = "[15830.386825] OPTONLYIN=lo OUT= " + mac6 + addr6 + "LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=849112 PROTO=TCP SPT=40046 DPT=1002 WINDOW=65476 RES=0x00 SYN URGP=0 OPT (0204FFC40402080A37531048000000000103030A) "
	plain4    = "[15830.598730] PLAIN IN=lo OUT= " + mac4 + addr4 + "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=44705 DF PROTO=TCP SPT=39056 DPT=1004 WINDOW=65495 RES=0x00 SYN URGP=0 "
	plain6    = "[15830.669366] PLAIN IN=lo OUT= " + mac6 + addr6 + "LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=553626 PROTO=TCP SPT=54222 DPT=1004 WINDOW=65476 RES=0x00 SYN URGP=0 "
	marked    = "[15830.881101] MARKED IN=lo OUT= " + mac4 + addr4 + "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=41996 DF PROTO=TCP SPT=60870 DPT=1006 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080A7AC3CC47000000000103030A) MARK=0x2a "
	output    = "[15831.022228] OUTPUT IN= OUT=lo " + addr4 + "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=35733 DF PROTO=TCP SPT=32934 DPT=1007 SEQ=323926299 ACK=0 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080A737D5E48000000000103030A) UID=0 GID=0 "
	tos       = "[15831.234353] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=60 TOS=0x18 PREC=0xA0 TTL=64 ID=55430 DF PROTO=TCP SPT=36910 DPT=1001 SEQ=3762830076 ACK=0 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080A9937C855000000000103030A) "
	ipOptions = "[15831.304918] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=64 TOS=0x00 PREC=0x00 TTL=64 ID=3157 DF OPT (94040000) PROTO=TCP SPT=36924 DPT=1001 SEQ=2375393492 ACK=0 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080AB4F480D5000000000103030A) "
	ipHidden  = "[15831.375519] OPTONLYIN=lo OUT= " + mac4 + addr4 + "LEN=64 TOS=0x00 PREC=0x00 TTL=64 ID=23910 DF PROTO=TCP SPT=50564 DPT=1002 WINDOW=65495 RES=0x00 SYN URGP=0 OPT (0204FFD70402080A1E204B70000000000103030A) "
	udp       = "[15831.516991] UDP IN=lo OUT= " + mac4 + addr4 + "LEN=29 TOS=0x00 PREC=0x00 TTL=64 ID=6168 DF PROTO=UDP SPT=46184 DPT=1001 LEN=9 "
	icmp6     = "[15831.567558] ICMP6ERR IN=lo OUT= " + mac6 + addr6 + "LEN=97 TC=0 HOPLIMIT=64 FLOWLBL=564172 PROTO=ICMPv6 TYPE=1 CODE=4 [SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0001 LEN=49 TC=0 HOPLIMIT=64 FLOWLBL=44185 PROTO=UDP SPT=46414 DPT=9 LEN=9 ] "
	ae        = "[15831.618009] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=44 TOS=0x00 PREC=0x00 TTL=64 ID=77 PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 AE SYN URGP=0 OPT (020405B4) "
	allFlags  = "[15831.648411] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=44 TOS=0x1E PREC=0xE0 TTL=64 ID=77 PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x38 AE CWR ECE URG ACK PSH RST SYN FIN URGP=9 OPT (020405B4) "
	evil      = "[15831.678785] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=49 TOS=0x00 PREC=0x00 TTL=64 ID=77 CE DF PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x38 SYN URGP=0 OPT (020405B4) "
	bare      = "[15831.709194] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=77 PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 "
	data      = "[15831.739602] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=44 TOS=0x00 PREC=0x00 TTL=64 ID=77 PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 "
	firstFrag = "[15831.800415] FRAG IN=lo OUT= " + mac4 + addr4 + "LEN=44 TOS=0x00 PREC=0x00 TTL=64 ID=77 MF PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) "
	laterFrag = "[15831.830970] FRAG IN=lo OUT= " + mac4 + addr4 + "LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=77 MF FRAG:1 PROTO=TCP "
	ecn       = "[15831.861431] ALL IN=lo OUT= " + mac4 + addr4 + "LEN=44 TOS=0x00 PREC=0x00 TTL=64 ID=77 PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 CWR ECE SYN URGP=0 OPT (020405B4) "
	icmp      = "[15831.891841] ICMPERR IN=lo OUT= " + mac4 + addr4 + "LEN=72 TOS=0x00 PREC=0x00 TTL=64 ID=77 PROTO=ICMP TYPE=3 CODE=3 [SRC=192.0.2.1 DST=192.0.2.1 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) ] "
	class     = "[15831.922284] ALL IN=lo OUT= " + mac6 + addr6 + "LEN=64 TC=255 HOPLIMIT=64 FLOWLBL=703710 PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) "
	atomic    = "[15831.952596] FRAG6 IN=lo OUT= " + mac6 + addr6 + "LEN=72 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( FRAG:0 ID:00001234 ) PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) "
	atomicN   = "[15831.952609] FRAG6N IN=lo OUT= " + mac6 + addr6 + "LEN=72 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:0 ID:00001234 PROTO=TCP SPT=4444 DPT=1001 WINDOW=1024 RES=0x00 SYN URGP=0 "
	first6    = "[15831.982954] FRAG6 IN=lo OUT= " + mac6 + addr6 + "LEN=72 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( FRAG:0 INCOMPLETE ID:00001234 ) PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) "
	later6    = "[15832.013384] FRAG6N IN=lo OUT= " + mac6 + addr6 + "LEN=72 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:128 INCOMPLETE ID:00001234 PROTO=TCP "
	dstOpts   = "[15832.043709] DST6 IN=lo OUT= " + mac6 + addr6 + "LEN=72 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( ) PROTO=TCP SPT=4444 DPT=1001 SEQ=0 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0 OPT (020405B4) "
	esp6      = "[15832.104678] ESP6 IN=lo OUT= " + mac6 + addr6 + "LEN=60 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( ESP SPI=0x0 )"
	esp6N     = "[15832.104689] ESP6N IN=lo OUT= " + mac6 + addr6 + "LEN=60 TC=0 HOPLIMIT=64 FLOWLBL=0 "
)

func TestParsedLinesHaveTheirSignature(t *testing.T) {
	for name, test := range map[string]struct{ line, want string }{
		"the article's":          {article, "4:64+0:0:1460:mss*4,0:mss,sok,ts,nop,ws:df,id+:0"},
		"end of line":            {article + "\r\n", "4:64+0:0:1460:mss*4,0:mss,sok,ts,nop,ws:df,id+:0"},
		"flags all":              {all4, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:0"},
		"flags all, IPv6":        {all6, "6:64+0:0:65476:mss*1,10:mss,sok,ts,nop,ws:flow:0"},
		"no space, no SEQ":       {noSpace4, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:0"},
		"no space, no SEQ, IPv6": {noSpace6, "6:64+0:0:65476:mss*1,10:mss,sok,ts,nop,ws:flow:0"},
		"mark":                   {marked, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:0"},
		"outgoing, with user":    {output, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:0"},
		"DSCP EF":                {tos, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:0"},
		"IP options":             {ipOptions, "4:64+0:4:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:0"},
		"IP options not logged":  {ipHidden, "4:64+0:0:65495:mss*1,10:mss,sok,ts,nop,ws:df,id+:+"},
		"AE":                     {ae, "4:64+0:0:1460:1024,0:mss:ecn,seq-:0"},
		"evil, data":             {evil, "4:64+0:0:1460:1024,0:mss:df,id+,0+,seq-:+"},
		"no options to log":      {bare, "4:64+0:0:0:1024,0::seq-:0"},
		"ECN":                    {ecn, "4:64+0:0:1460:1024,0:mss:ecn,seq-:0"},
		"class and label":        {class, "6:64+0:0:1460:1024,0:mss:ecn,flow,seq-:0"},
		"atomic fragment":        {atomic, "6:64+0:0:1460:1024,0:mss:seq-:0"},
		"destination options":    {dstOpts, "6:64+0:0:1460:1024,0:mss:seq-:0"},
		"more of them":           {strings.Replace(dstOpts, "LEN=72", "LEN=80", 1), "6:64+0:0:1460:1024,0:mss:seq-:0"},
		"and no TCP options":     {strings.Replace(dstOpts, "LEN=72", "LEN=68", 1)[:strings.LastIndex(dstOpts, "OPT")], "6:64+0:0:0:1024,0::seq-:0"},
	} {
		t.Run(name, func(t *testing.T) {
			var p packet.Packet
			if err := kernlog.Parse(test.line, &p); err != nil {
				t.Fatal(err)
			}
			got, ok := p0f.Observe(&p)
			if !ok || got.String() != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestParseGivesEveryField(t *testing.T) {
	var got packet.Packet
	if err := kernlog.Parse(article, &got); err != nil {
		t.Fatal(err)
	}
	want := decode(t, []byte{
		0x45, 0x10, 0, 60, 0xd6, 0xc7, 0x40, 0, 64, 6, 0, 0, 192, 168, 10, 2, 192, 168, 10, 1,
		0x85, 0x3f, 0xc3, 0x85, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 2, 0x16, 0xd0, 0, 0, 0, 0,
		2, 4, 5, 0xb4, 4, 2, 8, 10, 3, 0xc9, 0x3c, 0xf3, 0, 0, 0, 0, 1, 3, 3, 0,
	})
	if diff := diff(want, got); diff != "" {
		t.Errorf("the article's (-want +got):\n%s", diff)
	}

	if err := kernlog.Parse(allFlags, &got); err != nil {
		t.Fatal(err)
	}
	want = decode(t, []byte{
		// Of the type of service, 0xff, the lowest bit is not logged.
		0x45, 0xfe, 0, 44, 0, 77, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1,
		0x11, 0x5c, 3, 0xe9, 0, 0, 0, 0, 0, 0, 0, 0, 0x6f, 0xff, 4, 0, 0, 0, 0, 9, 2, 4, 5, 0xb4,
	})
	if diff := diff(want, got); diff != "" {
		t.Errorf("all flags (-want +got):\n%s", diff)
	}
	// Before Linux had AE, it was one of the reserved bits.
	older := strings.Replace(allFlags, "RES=0x38 AE ", "RES=0x3C ", 1)
	if err := kernlog.Parse(older, &got); err != nil {
		t.Fatal(err)
	}
	if diff := diff(want, got); diff != "" {
		t.Errorf("all flags, as older kernels have it (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want error
	}{
		"empty":                  {"", kernlog.ErrNoPacket},
		"another program":        {"Nov 23 23:36:01 orthanc sshd[42]: Server listening on 0.0.0.0 port 22.", kernlog.ErrNoPacket},
		"half a line":            {article[:70], kernlog.ErrNoPacket},
		"ARP":                    {"IN=eth0 OUT= ARP HTYPE=1 PTYPE=0x0800 OPCODE=1 MACSRC=00:a0:cc:28:42:5a IPSRC=192.168.10.2 MACDST=00:00:00:00:00:00 IPDST=192.168.10.1", kernlog.ErrNoPacket},
		"no interfaces":          {addr4 + "LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=77 PROTO=TCP", kernlog.ErrNoPacket},
		"long":                   {strings.Repeat("x", 8<<10) + article, kernlog.ErrNoPacket},
		"UDP":                    {udp, kernlog.ErrNoTCP},
		"TCP in an ICMP error":   {icmp, kernlog.ErrNoTCP},
		"UDP in an ICMPv6 error": {icmp6, kernlog.ErrNoTCP},
		"ESP over IPv6":          {esp6, kernlog.ErrNoTCP},
		"ESP not logged":         {esp6N, kernlog.ErrNoTCP},
		"no options":             {plain4, kernlog.ErrNoOptions},
		"no options, IPv6":       {plain6, kernlog.ErrNoOptions},
		"no options, extension":  {atomicN, kernlog.ErrNoOptions},
		"data, no options":       {data, kernlog.ErrNoOptions},
		"first fragment":         {firstFrag, packet.ErrFragment},
		"later fragment":         {laterFrag, packet.ErrFragment},
		"first fragment, IPv6":   {first6, packet.ErrFragment},
		"later fragment, IPv6":   {later6, packet.ErrFragment},
		"last fragment, IPv6":    {strings.Replace(later6, "INCOMPLETE ", "", 1), packet.ErrFragment},
		"many extensions":        {strings.Replace(dstOpts, "OPT ( ) ", strings.Repeat("OPT ( ) ", 300), 1), packet.ErrExtensions},
	} {
		t.Run(name, func(t *testing.T) {
			p := packet.Packet{Version: 9}
			if err := kernlog.Parse(test.line, &p); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(packet.Packet{}, p, comparing); diff != "" {
				t.Errorf("beside the error:\n%s", diff)
			}
		})
	}
}

func TestMalformedFieldsAreNamed(t *testing.T) {
	for name, test := range map[string]struct{ line, from, to, want string }{
		"no address":           {article, "192.168.10.2", "orthanc", `SRC: "orthanc" is no address`},
		"zone":                 {all6, "SRC=2001:0db8:0000:0000:0000:0000:0000:0001", "SRC=fe80::1%lo", `SRC: "fe80::1%lo" is no address`},
		"mixed families":       {article, "DST=192.168.10.1", "DST=::1", "DST: ::1 is not of the same family as SRC, 192.168.10.2"},
		"no length":            {article, "LEN=60 ", "", `LEN: found "TOS=0x10" instead`},
		"huge length":          {article, "LEN=60 ", "LEN=99999999999999999999 ", `LEN: "99999999999999999999" is no number from 0 to 2147483647`},
		"length below headers": {article, "LEN=60 ", "LEN=59 ", "LEN: 59 bytes are too few for headers of 60"},
		"length of extensions": {dstOpts, "LEN=72", "LEN=71", "LEN: 71 bytes are too few for headers of 72"},
		"signed":               {article, "TTL=64", "TTL=+64", `TTL: "+64" is no number from 0 to 255`},
		"TTL":                  {article, "TTL=64", "TTL=256", `TTL: "256" is no number from 0 to 255`},
		"TOS":                  {article, "TOS=0x10", "TOS=0x11", `TOS: "0x11" is not made of the bits of 0x1e`},
		"precedence":           {article, "PREC=0x00", "PREC=00", `PREC: "00" is not made of the bits of 0xe0`},
		"label":                {all6, "FLOWLBL=389425", "FLOWLBL=1048576", `FLOWLBL: "1048576" is no number from 0 to 1048575`},
		"header cut":           {article, "DF PROTO=TCP SPT=34111", "TRUNCATED", `PROTO: found "TRUNCATED" instead`},
		"extension cut":        {dstOpts, "OPT ( ) ", "TRUNCATED ", `PROTO: unexpected "TRUNCATED" before it`},
		"segment cut":          {article, "SPT=34111", "INCOMPLETE [8 bytes]", "PROTO: the packet was cut inside its TCP header"},
		"options cut":          {article, "(020405B40402080A03C93CF30000000001030300)", "(TRUNCATED)", "OPT: the packet was cut inside its options"},
		"line cut":             {article, "URGP=0 OPT (020405B40402080A03C93CF30000000001030300)", "", "URGP: the line ends before it"},
		"line cut in options":  {article, "01030300)", "01", `OPT: "(020405B40402080A03C93CF30000000001" is no list of bytes in parentheses`},
		"odd options":          {article, "01030300)", "010303)", "OPT: 19 bytes do not fit into a header"},
		"no digits":            {article, "01030300)", "0103030x)", `OPT: "(020405B40402080A03C93CF3000000000103030x)" is no list of bytes in parentheses`},
		"long options":         {article, "01030300)", strings.Repeat("01", 28) + ")", "OPT: 44 bytes do not fit into a header"},
		"reserved bits":        {article, "RES=0x00", "RES=0x40", `RES: "0x40" is not made of the bits of 0x3c`},
		"acknowledgement":      {all4, "ACK=0 ", "", `ACK: found "WINDOW=65495" instead`},
		"flag":                 {article, "SYN", "XMAS", `URGP: found "XMAS" instead`},
	} {
		t.Run(name, func(t *testing.T) {
			line := strings.Replace(test.line, test.from, test.to, 1)
			if line == test.line {
				t.Fatalf("%q is not in the line", test.from)
			}
			var p packet.Packet
			err := kernlog.Parse(line, &p)
			var parse *kernlog.ParseError
			if !errors.As(err, &parse) || !strings.HasPrefix(test.want, parse.Field+": ") || err.Error() != "kernlog: "+test.want {
				t.Errorf("got  %v\nwant kernlog: %s", err, test.want)
			}
		})
	}
}

// The rule's prefix may be any text, also text that is a part of the format.
func TestPrefixesDoNotMislead(t *testing.T) {
	for _, prefix := range []string{"", "IN=", "BAD SRC=any DST=any ", "IN OUT=eth0 ", "x OUT= y OUT= SRC=1 ", " "} {
		var got, want packet.Packet
		if err := kernlog.Parse(article, &want); err != nil {
			t.Fatal(err)
		}
		if err := kernlog.Parse(strings.Replace(article, "FWKNOP ", prefix, 1), &got); err != nil {
			t.Errorf("prefix %q: %v", prefix, err)
		} else if diff := diff(want, got); diff != "" {
			t.Errorf("prefix %q: (-want +got):\n%s", prefix, diff)
		}
	}
	macdecode := strings.Replace(article, "MAC=00:a0:cc:28:42:5a:00:a0:cc:28:42:5b:08:00",
		"MACSRC=00:a0:cc:28:42:5b MACDST=00:a0:cc:28:42:5a MACPROTO=0800", 1)
	var p packet.Packet
	if err := kernlog.Parse(macdecode, &p); err != nil {
		t.Error(err)
	}
}

// Only a SYN without options is an error.
func TestOtherSegmentsNeedNoOptions(t *testing.T) {
	var p packet.Packet
	if err := kernlog.Parse(strings.Replace(data, "SYN", "ACK PSH", 1), &p); err != nil {
		t.Fatal(err)
	}
	if p.TCP.Flags != packet.ACK|packet.PSH || len(p.Payload) != 4 {
		t.Errorf("flags %#x and %d bytes, want ACK, PSH and 4", p.TCP.Flags, len(p.Payload))
	}
}

// A captured packet and the line that the kernel would write about it have the same
// signature.
func TestLinesAgreeWithCaptures(t *testing.T) {
	names, err := filepath.Glob("../p0f/testdata/*.pcap")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	total := 0
	for _, name := range names {
		for i, b := range captures.Read(t, name) {
			want := decode(t, b)
			line := format(&want)
			var got packet.Packet
			if err := kernlog.Parse(line, &got); err != nil {
				t.Errorf("%s %d: %v\n%s", name, i+1, err, line)
				continue
			}
			if diff := diff(want, got); diff != "" {
				t.Errorf("%s %d: (-captured +logged):\n%s", name, i+1, diff)
			}
			wantSignature, _ := p0f.Observe(&want)
			if signature, ok := p0f.Observe(&got); !ok || signature != wantSignature {
				t.Errorf("%s %d: logged %v, captured %v", name, i+1, signature, wantSignature)
			}
			total++
		}
	}
	t.Logf("%d packets", total)
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{
		article, all4, all6, noSpace4, noSpace6, plain4, plain6, marked, output, tos, ipOptions, ipHidden, udp, icmp6, ae,
		allFlags, evil, bare, data, firstFrag, laterFrag, ecn, icmp, class, atomic, atomicN, first6, later6, dstOpts, esp6, esp6N,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var p, again packet.Packet
		if err := kernlog.Parse(line, &p); err != nil {
			if diff := cmp.Diff(packet.Packet{}, p, comparing); diff != "" {
				t.Fatalf("beside %v:\n%s", err, diff)
			}
			var parse *kernlog.ParseError
			if errors.As(err, &parse) && len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if p.Protocol != packet.TCP || (p.Version != 4 && p.Version != 6) || p.Src.Is4() != (p.Version == 4) || p.Dst.Is4() != p.Src.Is4() {
			t.Fatalf("version and addresses: %+v", p)
		}
		if len(p.Payload) > p.Length || len(p.IPOptions) > 40 || len(p.TCP.Options) > 40 || p.TCP.Flags > 0x1ff || p.TCP.Reserved > 7 {
			t.Fatalf("out of bounds: %+v", p)
		}
		if err := kernlog.Parse(format(&p), &again); err != nil {
			t.Fatalf("%v\n%s", err, format(&p))
		}
		if diff := cmp.Diff(p, again, comparing); diff != "" {
			t.Fatalf("printed and parsed again (-first +second):\n%s", diff)
		}
	})
}

// format returns the line that Linux 6.18 writes about a packet with all flags of the
// log statement.
func format(p *packet.Packet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[    0.000000] IN=eth0 OUT= SRC=%s DST=%s LEN=%d ", p.Src.StringExpanded(), p.Dst.StringExpanded(), p.Length)
	if p.Version == 4 {
		fmt.Fprintf(&b, "TOS=0x%02X PREC=0x%02X TTL=%d ID=%d ", p.TOS&0x1e, p.TOS&0xe0, p.TTL, p.ID)
		for _, flag := range []struct {
			set  bool
			word string
		}{{p.EvilBit, "CE "}, {p.DontFragment, "DF "}} {
			if flag.set {
				b.WriteString(flag.word)
			}
		}
		formatOptions(&b, p.IPOptions)
	} else {
		fmt.Fprintf(&b, "TC=%d HOPLIMIT=%d FLOWLBL=%d ", p.TOS, p.TTL, p.FlowLabel)
		for range p.Extensions {
			b.WriteString("OPT ( ) ")
		}
	}
	t := &p.TCP
	fmt.Fprintf(&b, "PROTO=TCP SPT=%d DPT=%d SEQ=%d ACK=%d WINDOW=%d RES=0x%02x ", p.SrcPort, p.DstPort, t.Seq, t.Ack, t.Window, t.Reserved<<3)
	for i, word := range strings.Fields("AE CWR ECE URG ACK PSH RST SYN FIN") {
		if t.Flags&(packet.AE>>i) != 0 {
			b.WriteString(word + " ")
		}
	}
	fmt.Fprintf(&b, "URGP=%d ", t.Urgent)
	formatOptions(&b, t.Options)
	return b.String()
}

func formatOptions(b *strings.Builder, options []byte) {
	if len(options) > 0 {
		fmt.Fprintf(b, "OPT (%X) ", options)
	}
}

var comparing = cmp.Options{cmpopts.EquateComparable(packet.Packet{}.Src), cmpopts.EquateEmpty()}

// diff compares the fields that a line holds, and whether there is payload.
func diff(captured, logged packet.Packet) string {
	present := func(p *packet.Packet) {
		if len(p.Payload) > 0 {
			p.Payload = []byte("some")
		}
	}
	present(&captured)
	present(&logged)
	return cmp.Diff(captured, logged, comparing)
}

func decode(t testing.TB, b []byte) (p packet.Packet) {
	t.Helper()
	if err := packet.Decode(b, &p); err != nil {
		t.Fatal(err)
	}
	return p
}
