package daemon

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// The end of a grant is reported once nothing lets its packets pass any more.
func TestTimers(t *testing.T) {
	source := netip.MustParsePrefix("192.0.2.10/32")
	one := grantKey{source: source, service: port.Single(packet.TCP, 8005)}
	wide := grantKey{source: source, service: port.Range{Protocol: packet.TCP, First: 8000, Last: 8010}}
	single := grantKey{source: source, service: wide.service, once: true}
	type started struct {
		key  grantKey
		time time.Duration
		new  bool
	}
	for name, c := range map[string]struct {
		starts []started
		ends   []grantKey // in order; of those that are reported
		at     []time.Duration
	}{
		"a longer one within a shorter one": {[]started{{one, time.Hour, true}, {wide, time.Minute, true}}, []grantKey{wide, one}, []time.Duration{time.Minute, time.Hour}},
		"a shorter one within a longer one": {[]started{{wide, time.Hour, true}, {one, time.Minute, false}}, []grantKey{wide}, []time.Duration{time.Hour}},
		"the shorter one first":             {[]started{{one, time.Minute, true}, {wide, time.Hour, true}}, []grantKey{wide}, []time.Duration{time.Hour}},
		"extended":                          {[]started{{one, time.Minute, true}, {one, time.Hour, false}}, []grantKey{one}, []time.Duration{time.Hour}},
		"never shortened":                   {[]started{{one, time.Hour, true}, {one, time.Minute, false}}, []grantKey{one}, []time.Duration{time.Hour}},
		"a single use covers nothing":       {[]started{{single, time.Hour, true}, {one, time.Minute, true}}, []grantKey{one, single}, []time.Duration{time.Minute, time.Hour}},
	} {
		synctest.Test(t, func(t *testing.T) {
			timers, begin := newTimers(), time.Now()
			defer timers.stop()
			for _, s := range c.starts {
				if isNew := timers.start(s.key, grantTimer{logged: true}, s.time); isNew != s.new {
					t.Errorf("%s: %v for %v is new: %v", name, s.key.service, s.time, isNew)
				}
			}
			var ends []grantKey
			var at []time.Duration
			for len(timers.running) > 0 {
				key := <-timers.ends
				if g, ok := timers.expired(key); ok {
					ends, at = append(ends, key), append(at, time.Since(begin))
					if !g.logged {
						t.Errorf("%s: %v is not logged", name, key.service)
					}
				}
			}
			if !slices.Equal(ends, c.ends) || !slices.Equal(at, c.at) {
				t.Errorf("%s: ended %v at %v, want %v at %v", name, ends, at, c.ends, c.at)
			}
		})
	}
}
