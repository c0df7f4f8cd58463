package links

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// A guard calls List and Resolve at every signal, as the daemon does.
type guard struct {
	testing.TB
	*Watcher
	listed []string
	last   Resolution
}

func newGuard(h *host, listed ...string) *guard {
	h.Helper()
	g := &guard{TB: h.TB, listed: listed}
	h.do(func() (err error) {
		g.Watcher, err = Open()
		return err
	})
	h.Cleanup(func() { g.Close() })
	g.resolve()
	return g
}

func (g *guard) resolve() {
	g.Helper()
	now, err := g.List()
	if err != nil {
		g.Fatal(err)
	}
	g.last = Resolve(g.listed, now, g.last.Memory)
}

// wants waits until exactly these interfaces are not guarded.
func (g *guard) wants(unguarded ...string) {
	g.Helper()
	timeout := time.After(10 * time.Second)
	for !slices.Equal(g.last.Unguarded, unguarded) {
		select {
		case <-g.Changes():
			g.resolve()
		case <-timeout:
			g.Fatalf("not guarded: %v, want %v", g.last.Unguarded, unguarded)
		}
	}
}

func (g *guard) wantsProblems(want ...Problem) {
	g.Helper()
	if diff := cmp.Diff(want, g.last.Problems); diff != "" {
		g.Errorf("problems (-want +got):\n%s", diff)
	}
}

// A host is a network namespace with interfaces, each joined to a peer.
type host struct {
	testing.TB
	*netns.NS
	far *netns.NS
}

func newHost(t testing.TB, names ...string) *host {
	t.Helper()
	h := &host{t, netnstest.New(t), netnstest.New(t)}
	for _, name := range names {
		h.add(name)
	}
	return h
}

func (h *host) add(name string) {
	h.Helper()
	netnstest.Connect(h, h.NS, h.far, name, nil, nil)
}

// do runs f in the namespace of the host.
func (h *host) do(f func() error) {
	h.Helper()
	netnstest.Do(h, h.NS, f)
}

// with calls f with an interface.
func with(name string, f func(netlink.Link) error) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return f(l)
}

// rename sets the interface down, which older kernels require.
func rename(from, to string) error {
	return with(from, func(l netlink.Link) error {
		return errors.Join(netlink.LinkSetDown(l), netlink.LinkSetName(l, to))
	})
}

func addBridge(name string) error {
	return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
}

func remove(name string) error { return with(name, netlink.LinkDel) }

func enslave(port, master string) error {
	return with(port, func(p netlink.Link) error {
		return with(master, func(m netlink.Link) error { return netlink.LinkSetMaster(p, m) })
	})
}

func TestListReturnsAllFields(t *testing.T) {
	t.Parallel()
	h := newHost(t, "eth0")
	var got []Link
	h.do(func() (err error) {
		err = errors.Join(
			with("eth0", func(l netlink.Link) error { return netlink.LinkAddAltName(l, "enp3s0") }),
			with("eth0", func(l netlink.Link) error { return netlink.LinkAddAltName(l, "a-name-longer-than-fifteen-bytes") }),
			addBridge("br0"), enslave("eth0", "br0"))
		if err != nil {
			return err
		}
		got, err = List()
		return err
	})
	index := make(map[string]int)
	for _, l := range got {
		index[l.Name] = l.Index
	}
	want := []Link{
		{Name: "br0"},
		{Name: "eth0", Master: index["br0"], AltNames: []string{"enp3s0", "a-name-longer-than-fifteen-bytes"}},
		{Name: "lo"},
	}
	for i := range want {
		want[i].Index = index[want[i].Name]
	}
	slices.SortFunc(got, func(a, b Link) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
}

// List is complete when the kernel needs several messages for it.
func TestListOfManyInterfacesIsComplete(t *testing.T) {
	t.Parallel()
	const many = 60 // the kernel lists about 20 per message
	h := newHost(t)
	for i := range many {
		h.add(fmt.Sprintf("eth%d", i))
	}
	h.do(func() error {
		list, err := List()
		if len(list) != many+1 {
			t.Errorf("%d interfaces, want %d", len(list), many+1)
		}
		return err
	})
}

func TestAnAlternativeNameIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHost(t, "eth0", "eth1")
	g := newGuard(h, "enp3s0")
	g.wants("lo")
	g.wantsProblems(Problem{Kind: Missing, Interface: "enp3s0"})
	altName := func(change func(netlink.Link, string) error) func() error {
		return func() error {
			return with("eth0", func(l netlink.Link) error {
				return errors.Join(change(l, "enp3s0"), netlink.LinkSetUp(l)) // see Changes
			})
		}
	}
	h.do(altName(netlink.LinkAddAltName))
	g.wants("eth1", "lo")
	g.wantsProblems()
	// The interface stays guarded when it has lost the name.
	h.do(altName(netlink.LinkDelAltName))
	<-g.Changes()
	g.resolve()
	g.wants("eth1", "lo")
	g.wantsProblems(Problem{Kind: Renamed, Interface: "enp3s0", Now: "eth0"})
}

func TestTheBridgeOfAPortIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHost(t, "eth0", "eth1")
	g := newGuard(h, "eth0")
	g.wants("eth1", "lo")
	h.do(func() error { return addBridge("br0") })
	g.wants("br0", "eth1", "lo")
	h.do(func() error { return enslave("eth0", "br0") })
	g.wants("eth1", "lo")
	h.do(func() error { return with("eth0", netlink.LinkSetNoMaster) })
	g.wants("br0", "eth1", "lo")
}

func TestARenamedInterfaceStaysGuarded(t *testing.T) {
	t.Parallel()
	h := newHost(t, "eth0", "eth1")
	g := newGuard(h, "eth0")
	g.wants("eth1", "lo")
	h.do(func() error { return rename("eth0", "wan") })
	h.add("dmz")
	g.wants("dmz", "eth1", "lo")
	g.wantsProblems(Problem{Kind: Renamed, Interface: "eth0", Now: "wan"})
	h.do(func() error { return rename("eth1", "eth0") })
	g.wants("dmz", "lo")
	g.wantsProblems(Problem{Kind: Taken, Interface: "eth0", Now: "wan"})
}

func TestAnInterfaceThatComesAndGoes(t *testing.T) {
	t.Parallel()
	h := newHost(t, "eth1")
	g := newGuard(h, "ppp0")
	g.wants("lo")
	g.wantsProblems(Problem{Kind: Missing, Interface: "ppp0"})
	h.add("ppp0")
	g.wants("eth1", "lo")
	g.wantsProblems()
	for range 3 {
		h.do(func() error { return errors.Join(remove("ppp0"), addBridge("br0")) })
		g.wants("br0", "eth1", "lo")
		g.wantsProblems(Problem{Kind: Gone, Interface: "ppp0"})
		h.add("ppp0")
		h.do(func() error { return remove("br0") })
		g.wants("eth1", "lo")
		g.wantsProblems()
	}
}

// A Watcher lists and watches the namespace of the thread that opened it.
func TestAWatcherStaysInItsNamespace(t *testing.T) {
	t.Parallel()
	h, other := newHost(t), newHost(t)
	g := newGuard(h, "br0")
	other.do(func() error {
		err := addBridge("br0")
		g.resolve()
		return err
	})
	g.wantsProblems(Problem{Kind: Missing, Interface: "br0"})
	select {
	case <-g.Changes():
		t.Error("a signal from another namespace")
	case <-time.After(50 * time.Millisecond):
	}
}

// Lost messages cause a signal, and so do later changes.
func TestAnOverrunIsAChange(t *testing.T) {
	t.Parallel()
	h := newHost(t, "eth0")
	w, proof := stalled(h), stalled(h)
	h.do(func() error {
		for i := range 20 {
			if err := rename(fmt.Sprintf("eth%d", i), fmt.Sprintf("eth%d", i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := proof.events.Receive(); !errors.Is(err, unix.ENOBUFS) {
		t.Fatalf("%v: the socket was not overrun", err)
	}
	go w.run()
	g := &guard{TB: t, Watcher: w, listed: []string{"wan"}}
	<-g.Changes()
	g.resolve()
	g.wants("lo")
	h.do(func() error { return rename("eth20", "wan") })
	h.add("dmz")
	g.wants("dmz", "lo")
}

// stalled returns a Watcher that does not read its socket, with the smallest buffer.
func stalled(h *host) *Watcher {
	h.Helper()
	var w *Watcher
	h.do(func() (err error) {
		if w, err = open(); err != nil {
			return err
		}
		return w.events.SetReadBuffer(1)
	})
	h.Cleanup(func() {
		close(w.closed)
		w.events.Close()
		w.list.Close()
	})
	return w
}

func TestCloseLeavesNothing(t *testing.T) {
	h := newHost(t, "eth0")
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	h.do(func() error { return nil })
	goroutines, descriptors := runtime.NumGoroutine(), files()
	for range 20 {
		var w *Watcher
		h.do(func() (err error) {
			w, err = Open()
			return err
		})
		listed := make(chan error)
		go func() {
			for {
				if _, err := w.List(); err != nil {
					listed <- err
					return
				}
			}
		}()
		h.do(func() error { return errors.Join(rename("eth0", "eth1"), rename("eth1", "eth0")) })
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := <-listed; !errors.Is(err, os.ErrClosed) {
			t.Errorf("a list after Close: %v", err)
		}
		if err := w.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := files(); n > descriptors {
		t.Errorf("%d open files, %d before", n, descriptors)
	}
}
