//go:build system

package system

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// happenings are the events of docs/lifecycle.md. They begin on a host where the daemon runs,
// but for those of newHost.
var happenings = map[string]func(*scene){
	"install": func(s *scene) { s.must(install()) },
	"first start": func(s *scene) {
		s.in("systemctl", "enable", "--now", "nftknockd")
	},
	"reload": func(s *scene) {
		s.replace(policyFile, `name = "sealed"`, `name = "other"`)
		s.in("systemctl", "reload", "nftknockd")
	},
	"failed reload": func(s *scene) {
		s.replace(policyFile, "sequence", "sequenze")
		s.fails("systemctl", "reload", "nftknockd")
		s.replace(policyFile, "sequenze", "sequence")
	},
	"restart": func(s *scene) { s.in("systemctl", "restart", "nftknockd") },
	"crash": func(s *scene) {
		s.in("systemctl", "kill", "-s", "KILL", "nftknockd")
		s.loggedTimes("ready: ", 2)
	},
	"power cut": func(s *scene) {
		s.must(machine.powerCut())
		s.must(machine.boot())
	},
	"upgrade": func(s *scene) {
		s.must(install())
		s.in("systemctl", "daemon-reload")
		s.in("systemctl", "restart", "nftknockd")
	},
	"stop": func(s *scene) { s.in("systemctl", "stop", "nftknockd") },
	"disable": func(s *scene) {
		s.in("systemctl", "disable", "nftknockd")
		s.reboot()
	},
	"uninstall": func(s *scene) {
		s.in("systemctl", "disable", "--now", "nftknockd")
		s.in("nftknockd", "uninstall")
	},
	"purge": func(s *scene) {
		s.in("systemctl", "disable", "--now", "nftknockd")
		s.in("nftknockd", "uninstall", "--purge")
	},
	"reboot": (*scene).reboot,
}

// newHost are the events of a host on which no daemon has run.
var newHost = map[string]bool{"install": true, "first start": true}

// What happens is compared with what docs/lifecycle.md says.
func TestLifecycle(t *testing.T) {
	page, err := os.ReadFile(top + "/" + lifecyclePage)
	if err != nil {
		t.Fatal(err)
	}
	want, err := parseLifecycle(string(page))
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events {
		t.Run(event, func(t *testing.T) {
			got := lifecycle(begin(t), event)
			for _, c := range columns {
				t.Run(c.name, func(t *testing.T) {
					if got[c.name] != want[event][c.name] {
						t.Errorf("%s, and %s says %s", got[c.name], lifecyclePage, want[event][c.name])
					}
				})
			}
		})
	}
}

// Clients of the story: friend has a grant and a connection, stranger a knock that is half-done,
// and these:
const (
	spender  = "10.77.0.4" // has sent a knock that opens once
	marker   = "10.77.0.5" // knocks when all others have done
	onlooker = "10.77.0.6" // never knocks
)

// lifecycle lets an event happen, and returns the word for what became of each column.
func lifecycle(s *scene, event string) map[string]string {
	s.Helper()
	before := s.login(friend)
	s.write(keyFile, key+"\n")
	s.write(policyFile, policy)
	var admitted *session
	if newHost[event] {
		if event == "install" {
			s.in("sh", "-c", "rm /usr/sbin/nftknockd /usr/lib/systemd/system/nftknockd.service && systemctl daemon-reload")
		}
	} else {
		s.in("systemctl", "enable", "--now", "nftknockd")
		s.knockShared(friend)
		s.logged("granted " + friend)
		admitted = s.login(friend)
	}
	token := s.spend(!newHost[event])
	s.knock(stranger, sharedKnock[:2]...)

	opened := s.watchPort(silentPort)
	happenings[event](s)
	got := make(map[string]string)
	got["table"] = word(s.is(onlooker, filtered), "hides", "gone")
	if when := opened(); got["table"] == "hides" && !newHost[event] && len(when) > 0 {
		s.Errorf("ports were not hidden from who did not knock, %v after %s began", when, event)
	}
	got["grants"] = word(s.is(friend, open) && got["table"] == "hides", "stay", "end")
	got["standing connections"] = word(before.lives() && (admitted == nil || admitted.lives()), "stay", "end")

	// The rest is seen when a daemon runs.
	if !s.active() {
		s.in("systemctl", "start", "nftknockd")
	}
	s.replayed(stranger, sharedKnock[2:])
	got["half-done knocks"] = word(s.is(stranger, open), "stay", "lost")
	s.replayed(spender, token)
	got["spent tokens"] = word(s.is(spender, open), "forgotten", "stay")
	if newHost[event] {
		for c, absent := range map[string]string{"grants": "end", "half-done knocks": "lost", "spent tokens": "forgotten"} {
			if got[c] == absent {
				got[c] = "none"
			}
		}
		if event == "install" && got["table"] == "gone" {
			got["table"] = "none"
		}
	}
	return got
}

func word(holds bool, yes, no string) string {
	if holds {
		return yes
	}
	return no
}

// is reports whether tcp/22 answers so.
func (s *scene) is(from string, want answer) bool {
	s.Helper()
	got, err := ask(from, 22)
	s.must(err)
	return got == want
}

var portOf = regexp.MustCompile(`tcp/\d+`)

// spend makes a knock that opens once, sends it, and returns its packets. The grant is taken
// back if it is to be honoured.
func (s *scene) spend(honoured bool) []string {
	s.Helper()
	out, status := s.outside(spender, "nftknock", "-T", "-e", "-p", "22", "--repeat", "1", "--key-file", keyFile, server)
	_, list, _ := strings.Cut(out, "[+]")
	token := portOf.FindAllString(list, -1)
	if status != 0 || len(token) < 38 {
		s.Fatalf("nftknock -T ended with %d:\n%s", status, out)
	}
	s.knockAll(spender, token)
	if honoured {
		s.logged("granted " + spender)
		s.in("nftknockd", "revoke", spender)
	}
	return token
}

// knockAll sends packets, more than one command line can.
func (s *scene) knockAll(from string, packets []string) {
	s.Helper()
	const most = 32
	for len(packets) > 0 {
		n := min(most, len(packets))
		s.knock(from, packets[:n]...)
		packets = packets[n:]
	}
}

// replayed sends packets and returns when the daemon has handled them, which it has when it has
// granted the next knock.
func (s *scene) replayed(from string, packets []string) {
	s.Helper()
	s.knockAll(from, packets)
	// Another user name makes another message within the same second.
	s.markers++
	user := fmt.Sprint("marker", s.markers)
	s.knock(marker, "-e", "-p", "22", "--user", user, "--key-file", keyFile)
	s.logged("username " + user + " match")
}

// silentPort is hidden as tcp/22 is. Nothing listens on it, so that any number of connections
// can be tried: the host refuses those that are not hidden.
const silentPort = 2222

// watchPort asks a port again and again. The function that it returns stops that, and returns
// when the port was not hidden. A refusal of a machine that has ended does not count: the kernel
// takes the rules of a network away before its interfaces (cleanup_net), and answers meanwhile.
func (s *scene) watchPort(port uint16) (stop func() []time.Duration) {
	const pause = 5 * time.Millisecond
	begun := time.Now()
	done := make(chan struct{})
	var asking sync.WaitGroup
	var mu sync.Mutex
	var openAt []time.Duration
	asking.Go(func() {
		for ticks := time.NewTicker(pause); ; {
			select {
			case <-done:
				return
			case <-ticks.C:
			}
			at := time.Since(begun)
			asking.Go(func() {
				conn, err := dial(onlooker, port)
				if err == nil {
					conn.Close()
				}
				if err == nil || errors.Is(err, syscall.ECONNREFUSED) && !machine.ended() {
					mu.Lock()
					openAt = append(openAt, at)
					mu.Unlock()
				}
			})
		}
	})
	return sync.OnceValue(func() []time.Duration {
		close(done)
		asking.Wait()
		return openAt
	})
}

// lives reports whether a session still works.
func (c *session) lives() bool {
	return c.echo(2*time.Second) == nil
}
