package gate

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/test/netns/netnstest"
)

// surveys: the same list, from another goroutine.
func surveys(t *testing.T, s subject) {
	if _, err := s.Survey(); err == nil {
		t.Error("a survey without a table")
	}
	applied(t, s)
	for n := range 100 {
		grant(t, s, Grant{Source: nth(n), Service: service("tcp/22"), Timeout: time.Minute, Access: "ssh", Method: "shared"})
	}
	var (
		found []Grant
		err   error
		done  = make(chan struct{})
	)
	go func() {
		defer close(done)
		found, err = s.Survey()
	}()
	<-done
	want := grants(t, s)
	same := slices.EqualFunc(want, found, func(a, b Grant) bool {
		return a.Source == b.Source && a.Service == b.Service && a.Access == b.Access && a.Method == b.Method && a.Timeout == b.Timeout
	})
	if err != nil || !same || len(found) != 100 {
		t.Errorf("%d grants, %v; want the %d of Grants", len(found), err, len(want))
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Survey(); err == nil {
		t.Error("a survey of a removed table")
	}
}

// Grants come and go, and the ruleset changes, while another goroutine surveys: for the race
// detector, and for the listings that the kernel breaks off.
func TestSurveyWhileGrantsComeAndGo(t *testing.T) {
	t.Parallel()
	k := open(t, netnstest.New(t), Config{})
	apply(t, k, &Ruleset{Protected: services("tcp/22")})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := k.Survey(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for n := range 3000 {
		grant(t, k, Grant{Source: nth(n), Service: service("tcp/22"), Timeout: time.Minute})
		if n%500 == 0 {
			apply(t, k, &Ruleset{Protected: services("tcp/22", "tcp/8000-8010"), Openings: []Opening{{Service: service("tcp/8000-8010")}}})
			apply(t, k, &Ruleset{Protected: services("tcp/22")})
		}
	}
	close(stop)
	<-done
}

// BenchmarkGrantDuringASurvey measures what a grant takes with 30,000 of them, alone and while
// another goroutine lists them all, over and over.
func BenchmarkGrantDuringASurvey(b *testing.B) {
	for _, surveyed := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "surveyed"}[surveyed], func(b *testing.B) {
			k := open(b, netnstest.New(b), Config{})
			apply(b, k, &Ruleset{Protected: services("tcp/22")})
			for n := range 30000 {
				grant(b, k, Grant{Source: nth(n), Service: service("tcp/22"), Timeout: time.Hour})
			}
			if surveyed {
				stop, done := make(chan struct{}), make(chan struct{})
				defer func() { close(stop); <-done }()
				go func() {
					defer close(done)
					for {
						select {
						case <-stop:
							return
						default:
							_, _ = k.Survey()
						}
					}
				}()
			}
			n := 0
			for b.Loop() {
				grant(b, k, Grant{Source: nth(30000 + n%1000), Service: service("tcp/22"), Timeout: time.Hour + time.Duration(n)*time.Second})
				n++
			}
		})
	}
}

// Connections and Survey explain what the kernel refuses without the connection of the Kernel,
// which another goroutine uses.
func TestAnErrorOfTheInspectorIsExplainedByItself(t *testing.T) {
	l := newLab(t, Config{})
	apply(t, l.gate, &Ruleset{Protected: services("tcp/22"), Openings: openings("tcp/22"), Group: 5})
	conn := l.gate.conn
	l.gate.conn = nil // whoever uses it panics
	defer func() { l.gate.conn = conn }()
	for name, ask := range map[string]func() error{
		"connections": func() error {
			_, err := l.gate.Connections(netip.MustParsePrefix(client4+"/32"), service("udp/22"))
			return err
		},
		"grants": func() error { _, err := l.gate.Survey(); return err },
	} {
		var err error
		netnstest.Do(t, l.server, func() error {
			hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var had [2]unix.CapUserData
			if err := unix.Capget(&hdr, &had[0]); err != nil {
				return err
			}
			none := had
			none[0].Effective, none[1].Effective = 0, 0
			if err := unix.Capset(&hdr, &none[0]); err != nil {
				return err
			}
			err = ask()
			return unix.Capset(&hdr, &had[0])
		})
		if !errors.Is(err, errNotAllowed) {
			t.Errorf("%s: %v, want that a capability is missing", name, err)
		}
	}
}
