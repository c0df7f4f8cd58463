package p0f

import (
	"slices"
	"strings"
	"testing"
)

// oldest says since which year there has been a system that a label names, for labels
// that name a version.
var oldest = map[string]int{
	"Linux 2.2, or newer with a small buffer":                   1999,
	"Linux 2.2 (loopback)":                                      1999,
	"Linux 2.4 or early 2.6, or newer with a small buffer":      2001,
	"Linux 2.4 to 3.x (loopback)":                               2001,
	"Linux 2.6, or newer with a small buffer":                   2003,
	"Linux 2.6 (Android 1.5)":                                   2009,
	"Linux 2.6.32 to 3.10, or newer with a small buffer":        2009,
	"Linux 3.10 to 4.19, or newer with a small buffer":          2013,
	"Linux 3.x or 4.x, or newer with a small buffer (loopback)": 2011,
	"Linux 4.19 or newer":                                       2018,
	"Linux 4.19 or newer (64 KiB buffer), or illumos":           2010,
	"Linux 6.6 to 6.9, or 4.19 or newer with a small buffer":    2018,

	"Windows 95, 98 or ME":                                      1995,
	"Windows 98 to Server 2003, or newer with a set buffer":     1998,
	"Windows 2000, XP or Server 2003, or newer without scaling": 2000,
	"Windows Vista to 10, or Server 2008 to 2016":               2006,
	"Windows 10 or newer":                                       2015,

	"Mac OS X 10.2 to 10.4, or FreeBSD 4.7 to 5.2":                       2002,
	"Mac OS X 10.4 to 10.7, or FreeBSD 6":                                2005,
	"macOS/iOS (iOS 3 to 8, or Mac OS X 10.4 to 10.7 with a set buffer)": 2005,
	"macOS/iOS (Mac OS X 10.5, iOS 5 or newer)":                          2007,
	"macOS/iOS (Mac OS X 10.7, iOS 5 or newer)":                          2011,
	"macOS/iOS (macOS 10.14, iOS 11 or newer)":                           2017,

	"FreeBSD 2.0 to 4.8":         1994,
	"FreeBSD 9 or newer":         2012,
	"FreeBSD 11 or newer":        2016,
	"NetBSD 1.3, or OpenBSD 2.6": 1998,
	"NetBSD 2 or newer":          2004,
	"OpenBSD 3.0 to 4.8":         2001,
}

// noTime has the SYNs of a capture whose every packet has the time 1234567890.123456.
var noTime = map[string]int{
	"4:64+0:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0":      2009,
	"4:64+0:0:1460:64240,7:mss,nop,nop,sok,nop,ws:df,id+:0": 2009,
}

// No capture holds a SYN of a system that came later, so no label may begin later than
// the captures that it answers to.
func TestLabelsAreNotYoungerThanTheirCaptures(t *testing.T) {
	db := Builtin()
	families := []string{"linux", "windows", "apple", "bsd", "solaris"}
	for _, s := range readSightings(t) {
		if noTime[s.syn.String()] == s.year {
			continue
		}
		p := s.packet(t)
		m := db.Match(p)
		label := db.Label(m.Label)
		if m.Confidence != Exact || m.Class != OS || !slices.Contains(families, label.Family) ||
			!strings.ContainsAny(label.Flavour, "0123456789") {
			continue
		}
		switch year := oldest[label.String()]; {
		case year == 0:
			t.Errorf("%v, of %d, is called %s: since when has there been one?", s.syn, s.year, label)
		case s.year < year:
			t.Errorf("%v, of %d, is called %s, and there has been none before %d", s.syn, s.year, label, year)
		}
	}
}

// What the captures or published measurements tell about a version is within the label.
func TestVersionsAreInTheirLabel(t *testing.T) {
	for _, test := range []struct{ sender, syn, want string }{
		{"Debian 10's 4.19", "4:64:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0", "Linux 4.19 or newer"},
		{"CentOS 7's 3.10", "4:64:0:1380:29200,9:mss,nop,nop,sok,nop,ws:df,id+:0", "Linux 3.10 to 4.19, or newer with a small buffer"},
		{"CentOS 6's 2.6.32", "4:64:0:1460:14600,6:mss,sok,ts,nop,ws:df,id+:0", "Linux 2.6.32 to 3.10, or newer with a small buffer"},
		{"Linux 5.15, initrwnd 4", "4:64:0:1460:5840,7:mss,sok,ts,nop,ws:df,id+:0", "Linux 2.6, or newer with a small buffer"},
		{"Linux 2.2 over loopback", "4:64:0:3884:31072,0:mss,sok,ts,nop,ws:df,id+:0", "Linux 2.2 (loopback)"},
		{"Linux 6.18 over loopback, tcp_rmem[1] of 87380", "4:64:0:65495:43690,10:mss,sok,ts,nop,ws:df,id+:0", "Linux 3.x or 4.x, or newer with a small buffer (loopback)"},
		{"Windows Server 2008, build 6.0.6001", "4:128:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0", "Windows Vista to 10, or Server 2008 to 2016"},
		{"Windows in 2006", "4:106+22:0:1408:65535,3:mss,nop,ws,nop,nop,sok:df,id+:0", "Windows 98 to Server 2003, or newer with a set buffer"},
		{"Windows 7 with a set buffer", "4:128:0:1460:65535,1:mss,nop,ws,nop,nop,sok:df,id+:0", "Windows 98 to Server 2003, or newer with a set buffer"},
		{"Windows 7 without scaling", "4:128:0:1460:65535,0:mss,nop,nop,sok:df,id+:0", "Windows 2000, XP or Server 2003, or newer without scaling"},
		{"Mac OS X 10.5.6", "4:64:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "macOS/iOS (Mac OS X 10.5, iOS 5 or newer)"},
		{"Mac OS X 10.6.8, FTP", "4:64:0:1460:65535,2:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "macOS/iOS (iOS 3 to 8, or Mac OS X 10.4 to 10.7 with a set buffer)"},
		{"Mac OS X 10.7", "4:64:0:1460:65535,1:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "Mac OS X 10.4 to 10.7, or FreeBSD 6"},
		{"iOS 5", "4:64:0:1460:65535,4:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "macOS/iOS (Mac OS X 10.7, iOS 5 or newer)"},
		{"Mac OS X 10.10", "6:64:0:16324:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:flow:0", "macOS/iOS (Mac OS X 10.7, iOS 5 or newer)"},
		{"Mac OS X 10.8.5", "4:64:0:1460:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0", "macOS/iOS (Mac OS X 10.7, iOS 5 or newer)"},
		{"macOS with 4 MiB of buffer", "4:64:0:1460:65535,7:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0", "macOS/iOS (macOS 10.14, iOS 11 or newer)"},
		{"FreeBSD 10 with 16 MB of buffer", "4:64:0:1460:65535,9:mss,nop,ws,sok,ts:df,id+:0", "VMware ESXi or FreeBSD with larger buffers"},
		{"OpenBSD 4.0 behind scrub no-df", "4:64:0:1460:16384,0:mss,nop,nop,sok,nop,ws,nop,nop,ts::0", "OpenBSD 2.6 to 4.8 (without DF)"},
	} {
		// At family only where the TTL alone tells it from another system's.
		got := strings.Replace(answer(Builtin(), syn(t, test.syn)), "os family ", "os exact ", 1)
		if want := "os exact " + test.want; got != want {
			t.Errorf("%s, %s: got %q, want %q", test.sender, test.syn, got, want)
		}
	}
}
