package gate

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/nflog"
	"nftknock/test/netns/netnstest"
)

const (
	vrfDevice = "blue"
	vrfTable  = 10 // of routes; any but those that the kernel has a use for
)

func addVRF() error {
	return netlink.LinkAdd(&netlink.Vrf{LinkAttrs: netlink.LinkAttrs{Name: vrfDevice}, Table: vrfTable})
}

// requireVRF skips the test where the kernel has no such devices, unless the
// environment says that it has.
func requireVRF(t *testing.T) {
	t.Helper()
	if !netnstest.KernelHas(t, "VRF", addVRF) {
		t.Skip("this kernel has no VRF devices; make kernels runs this test on kernels that have")
	}
}

// newVRFLab is a lab in which the server's end of the cable is a port of a
// VRF, so that none of its addresses is in the main routing tables.
func newVRFLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, Config{})
	netnstest.Do(t, l.server, enslave)
	l.reach(l.client, server4+":9")
	l.reach(l.client, "["+server6+"]:9")
	return l
}

func enslave() error {
	if err := addVRF(); err != nil {
		return err
	}
	vrf, err := netlink.LinkByName(vrfDevice)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(vrf); err != nil {
		return err
	}
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(eth0, vrf); err != nil {
		return err
	}
	// The kernel takes the device down and up, and IPv6 addresses go with that
	// (cycle_netdev in drivers/net/vrf.c).
	address, err := netlink.ParseAddr(server6 + "/64")
	if err != nil {
		return err
	}
	address.Flags = unix.IFA_F_NODAD
	return netlink.AddrReplace(eth0, address)
}

// TestVRF hides services whose addresses are those of a VRF, whichever way
// they listen.
func TestVRF(t *testing.T) {
	requireVRF(t)
	for _, service := range []struct {
		name  string
		serve func(*lab)
	}{
		{"service bound to the VRF", (*lab).serveInVRF},
		{"service of all VRFs", (*lab).serveAllVRFs},
	} {
		t.Run(service.name, func(t *testing.T) {
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newVRFLab(t)
				service.serve(l)
				hidesInVRF(l, client, server)
			})
		})
	}
}

func hidesInVRF(l *lab, client netip.Addr, server string) {
	t := l.t
	l.want(l.client, server+":22", isOpen)
	apply(t, l.gate, &Ruleset{Protected: services("tcp/22"), KnockPorts: services("udp/6020"), Group: 5})
	l.want(l.client, server+":22", isFiltered)
	wantLogged(l, server+":6020", 5)
	grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/22"), Timeout: time.Minute})
	l.want(l.client, server+":22", isOpen)
}

// serveInVRF has a service on tcp/22 that is bound to the VRF's device.
func (l *lab) serveInVRF() {
	l.t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), vrfDevice) }); e != nil {
			return e
		}
		return err
	}}
	l.serveOn(func() (net.Listener, error) { return config.Listen(context.Background(), "tcp", ":22") })
}

// serveAllVRFs has one on tcp/22 that is bound to no device.
func (l *lab) serveAllVRFs() {
	l.t.Helper()
	if err := l.server.Sysctl("net/ipv4/tcp_l3mdev_accept", "1"); err != nil {
		l.t.Fatal(err)
	}
	l.serve(":22")
}

// wantLogged sends a datagram from the client, which has to come to the group.
func wantLogged(l *lab, to string, group uint16) {
	l.t.Helper()
	var r *nflog.Reader
	netnstest.Do(l.t, l.server, func() (err error) {
		r, err = nflog.Open(nflog.Config{Groups: []uint16{group}})
		return err
	})
	const wait = 2 * time.Second // Read gives os.ErrClosed when it is over
	timer := time.AfterFunc(wait, func() { r.Close() })
	defer timer.Stop()
	defer r.Close()
	conn := l.listenUDP(l.client, ":0")
	if _, err := conn.WriteToUDPAddrPort([]byte("knock"), netip.MustParseAddrPort(to)); err != nil {
		l.t.Fatal(err)
	}
	var rec nflog.Record
	if err := r.Read(&rec); err != nil {
		l.t.Errorf("the datagram to %s did not come to the NFLOG group in %v: %v", to, wait, err)
	}
}
