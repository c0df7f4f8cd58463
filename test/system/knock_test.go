//go:build system

package system

import (
	"strings"
	"testing"
)

// sharedKnock is the sequence of the policy's access "shared".
var sharedKnock = []string{"tcp/50053", "udp/6020", "icmp", "tcp/24034"}

// key is that of the policy's access "sealed".
const key = "base64:bmZ0a25vY2sgc3lzdGVtIHRlc3QgMzIgYnl0ZXMhISE="

const keyFile = "/etc/nftknock/keys/sealed"

const policy = `[[access]]
name = "shared"
sequence = ["tcp/50053", "udp/6020", "icmp", "tcp/24034"]
open = ["tcp/22", "tcp/2222"]
timeout = "600s"

[[access]]
name = "sealed"
knock = "encrypted"
key_file = "` + keyFile + `"
open = ["tcp/22"]
timeout = "600s"
`

// brief is the policy with grants that end soon.
var brief = strings.ReplaceAll(policy, "600s", "2s")

// guarded begins a test with a daemon that runs this policy.
func guarded(t *testing.T, policy string) *scene {
	t.Helper()
	s := begin(t)
	s.wants(friend, open)
	s.write(keyFile, key+"\n")
	s.write(policyFile, policy)
	s.in("systemctl", "start", unit)
	s.wants(friend, filtered)
	return s
}

// knockShared and knockSealed send the right knocks.
func (s *scene) knockShared(from string) { s.Helper(); s.knock(from, sharedKnock...) }

func (s *scene) knockSealed(from string) {
	s.Helper()
	s.knock(from, "-e", "-p", "22", "--key-file", keyFile)
}

// A service is hidden, opens for who knocks, and is closed by the kernel.
func TestKnockOpensAndTheKernelCloses(t *testing.T) {
	for _, kind := range []struct {
		name  string
		knock func(s *scene, from string)
	}{
		{"shared", (*scene).knockShared}, {"siv", (*scene).knockSealed},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := guarded(t, brief)
			kind.knock(s, friend)
			s.logged("granted " + friend + " access to tcp/22")
			s.wants(friend, open)
			s.wants(stranger, filtered)
			// Nobody but the kernel can end the grant now.
			s.in("systemctl", "kill", "-s", "STOP", unit)
			s.becomes(friend, filtered)
			s.in("systemctl", "kill", "-s", "CONT", unit)
			s.logged("access of " + friend + " to tcp/22 ended, 2s timeout exceeded")
		})
	}
}
