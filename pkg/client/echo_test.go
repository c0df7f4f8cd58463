//go:build linux

package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nftknock/pkg/port"
	"nftknock/test/netns"
)

// childDst tells the test binary to be a client without privileges and where
// to send two echo requests.
const childDst = "NFTKNOCK_TEST_ECHO_TO"

// echoChild prints "raw socket" or "ping socket" when it has sent, or the
// error and its hint.
func echoChild(dst string) int {
	echo := Packet{To: port.Echo}
	k := Knock{Dst: netip.MustParseAddr(dst), Packets: []Packet{echo, echo}, Repeat: 1}
	s, err := NewSender(&k)
	if err == nil {
		defer s.Close()
		err = k.Send(context.Background(), s, func(int, int, Packet) {})
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		fmt.Printf("%v\n%s\n", err, e.Hint)
		return 1
	case err != nil:
		fmt.Println(err)
		return 1
	case s.RawSocket():
		fmt.Println("raw socket")
	default:
		fmt.Println("ping socket")
	}
	return 0
}

// runChild runs echoChild in a host. Unprivileged, it gets a user namespace
// of its own, so that it has no capability over the network of the host.
func runChild(t *testing.T, n *netns.NS, dst string, unprivileged bool) (output string, ok bool) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childDst+"="+dst)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if unprivileged {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	return strings.TrimSpace(out.String()), err == nil
}

func TestEchoRequestsLeaveAsTheSystemAllows(t *testing.T) {
	// NB: nobody is how a network namespace begins. It cannot be written:
	// the group 1 of the kernel's "1 0" does not exist in here.
	const (
		everyone = "0 0" // the one group there is
		nobody   = ""
	)
	refusal := "this user may not send echo requests\n" +
		`allow ping sockets (sysctl -w net.ipv4.ping_group_range="0 2147483647"), ` +
		"or run as root, or give the program the right (setcap cap_net_raw+ep PROGRAM)"
	for _, tt := range []struct {
		name         string
		pingGroups   string
		unprivileged bool
		want         string
		ok           bool
	}{
		{"ok ping socket without privileges", everyone, true, "ping socket", true},
		{"ok raw socket with privileges", nobody, false, "raw socket", true},
		{"bad neither", nobody, true, refusal, false},
	} {
		for _, dst := range []string{serverAddr4, serverAddr6} {
			t.Run(tt.name+" to "+dst, func(t *testing.T) {
				server, client := hosts(t)
				if tt.pingGroups != "" {
					if err := client.Sysctl("net/ipv4/ping_group_range", tt.pingGroups); err != nil {
						t.Fatal(err)
					}
				}
				seen := listen(t, server, netip.MustParseAddr(dst))
				output, ok := runChild(t, client, dst, tt.unprivileged)
				if diff := cmp.Diff(tt.want, output); diff != "" || ok != tt.ok {
					t.Errorf("status good: %v, output %s", ok, diff)
				}
				if !tt.ok {
					if got := seen.knocks(); len(got) != 0 {
						t.Errorf("sent all the same: %v", written(got))
					}
					return
				}
				got := seen.wait(t, 2)
				if diff := cmp.Diff([]string{"icmp", "icmp"}, written(got)); diff != "" {
					t.Error(diff)
				}
				if got[0].ICMP.Seq == got[1].ICMP.Seq {
					t.Errorf("both have sequence number %d", got[0].ICMP.Seq)
				}
			})
		}
	}
}
