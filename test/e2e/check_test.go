package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"nftknock/test/lab"
	"nftknock/test/netns/netnstest"
)

// nftknockd check checks the policy's interfaces against those of its host.
func TestCheckLooksAtTheHostsInterfaces(t *testing.T) {
	t.Parallel()
	host, far := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, host, far, "eth0", nil, nil)
	netnstest.Connect(t, host, far, "eth1", nil, nil)
	netnstest.Do(t, host, makeBridge)
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab.Lab{Dir: t.TempDir()}
	path, err := l.Write("policy.toml", `nftables.interfaces = ["eth0", "uplink", "eht1"]
[[access]]
name = "ssh"
open = ["tcp/22"]
sequence = ["tcp/50063", "udp/6020", "tcp/24034"]
`)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, "nftknockd"), "check", filepath.Base(path))
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.Dir, &out, &out
	if err := host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	const want = `policy.toml:1:1: warning: no firewall of this host drops packets: with hide = "drop" the hidden ports are the only ones that do not answer, and a scan finds them; want hide = "reject", with which they look like the closed ports around them
policy.toml:1:24: warning: interface "eth0" is part of "br0", from which its packets come: all of that is guarded; list "br0" too if that is meant
policy.toml:1:32: warning: "uplink" is an alternative name of interface "eth1", which is guarded; want "eth1": it has that name from the start
policy.toml:1:42: warning: interface "eht1" does not exist: all interfaces but lo are guarded until it does; did you mean "eth1"?
policy.toml:4:9: warning: nothing listens on tcp/22 here now; is the port right? Sockets on loopback, services that start later and ports forwarded to a container or another host do not count
policy.toml: ok, 5 warnings, 1 of 1 accesses enabled
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// makeBridge makes eth0 a port of br0 and gives eth1 another name.
func makeBridge() error {
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}); err != nil {
		return err
	}
	br0, err0 := netlink.LinkByName("br0")
	eth0, err1 := netlink.LinkByName("eth0")
	eth1, err2 := netlink.LinkByName("eth1")
	if err := errors.Join(err0, err1, err2); err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetMaster(eth0, br0), netlink.LinkAddAltName(eth1, "uplink"))
}
