package gate

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// forwardModel says where each dialled port leads a client, by the grants that it was
// given. Every service sends its name.
type forwardModel struct {
	t       *testing.T
	lab     *lab
	chance  *rand.Rand
	grants  map[uint16]Grant // by dialled port
	ends    map[uint16]time.Time
	forward bool // the ruleset has maps
	steps   []string
}

var (
	modelHidden  = []uint16{22, 2222, 2223}
	modelDialled = []uint16{22, 2222, 2223, 40022}
	modelTargets = []string{"10.9.9.2:81", "10.9.9.2:82", "10.9.9.2:9", "local:22", "local:23", ""}
	modelNames   = map[string]string{
		"10.9.9.2:81": "behind 81", "10.9.9.2:82": "behind 82", "10.9.9.2:9": isClosed, "local:22": "own 22", "local:23": "own 23",
	}
)

// named serves a name on a port.
func (l *lab) named(at string, name string) {
	l.serveOn(func() (net.Listener, error) {
		listener, err := net.Listen("tcp", at)
		return greeter{listener, name}, err
	})
}

// greeter sends a name on each connection.
type greeter struct {
	net.Listener
	name string
}

func (g greeter) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err == nil {
		_, err = io.WriteString(conn, g.name)
	}
	return conn, err
}

// leads is the name of what the client reaches by a port.
func (m *forwardModel) leads(n uint16) string {
	var conn net.Conn
	for range 20 { // every port answers, if a busy machine may take longer than dial waits
		var err error
		if conn, err = m.lab.dial(m.lab.client, fmt.Sprintf("%s:%d", server4, n)); errors.Is(err, syscall.ECONNREFUSED) {
			return isClosed
		}
		if err == nil {
			break
		}
	}
	if conn == nil {
		return isFiltered
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(patience))
	name := make([]byte, 32)
	got, _ := conn.Read(name)
	return string(name[:got])
}

// want is the name of what it ought to reach.
func (m *forwardModel) want(n uint16) string {
	g, granted := m.grants[n]
	switch {
	case granted && g.Forward.Port != 0:
		return modelNames[g.Forward.String()]
	case n == 40022, !granted:
		return isClosed
	}
	return fmt.Sprint("own ", n)
}

func (m *forwardModel) note(format string, args ...any) {
	m.steps = append(m.steps, fmt.Sprintf(format, args...))
}

// step does one thing.
func (m *forwardModel) step() {
	n := modelDialled[m.chance.IntN(len(modelDialled))]
	switch m.chance.IntN(12) {
	case 0, 1, 2, 3, 4:
		m.give(n, time.Minute+time.Duration(m.chance.IntN(60))*time.Second)
	case 5:
		m.give(n, MinTimeout)
		time.Sleep(MinTimeout + 30*time.Millisecond)
		if until := m.ends[n]; time.Now().After(until) {
			delete(m.grants, n)
		}
		m.note("wait")
	case 6, 7:
		m.note("withdraw %d", n)
		g, ok := m.grants[n]
		err := m.lab.gate.Withdraw(Grant{Source: from(client4), Service: port.Single(packet.TCP, n)})
		if (err == nil) != ok {
			m.t.Fatalf("withdraw: %v; the model has %+v", err, g)
		}
		delete(m.grants, n)
	case 8:
		m.note("flush and repair")
		m.lab.loseAndRepair()
	case 9:
		m.forward = !m.forward
		m.note("apply, forward %t", m.forward)
		m.apply()
	case 10:
		m.note("another daemon")
		if err := m.lab.gate.Close(); err != nil {
			m.t.Fatal(err)
		}
		// A first ruleset of another kind makes the table anew, and its grants end.
		m.forward = m.forward || slices.ContainsFunc(m.running(), func(g Grant) bool { return g.Forward.Port != 0 })
		m.lab.gate = open(m.t, m.lab.server, Config{Owner: OwnerOff})
		want := 0
		if m.forward {
			want = 2 // the ruleset of apply masquerades, too
		}
		if n, err := natChains(m.lab.gate); err != nil {
			m.t.Fatal(err)
		} else if n != want {
			m.grants = make(map[uint16]Grant)
		}
		m.apply()
	case 11:
		m.note("apply the same")
		m.apply()
	}
}

// natChains counts the base chains of type nat of the table.
func natChains(k *Kernel) (n int, err error) {
	chains, err := k.chainsOf(k.table.netlink(0))
	for _, c := range chains {
		if c.Hooknum != nil && c.Type == nftables.ChainTypeNAT {
			n++
		}
	}
	return n, err
}

func (m *forwardModel) running() []Grant {
	var list []Grant
	for _, g := range m.grants {
		list = append(list, g)
	}
	return list
}

func (m *forwardModel) apply() {
	var hidden []port.Range
	for _, n := range modelHidden {
		hidden = append(hidden, port.Single(packet.TCP, n))
	}
	apply(m.t, m.lab.gate, &Ruleset{Hide: Reject, Protected: hidden, Forward: m.forward, Masquerade: m.forward})
}

func (m *forwardModel) give(n uint16, timeout time.Duration) {
	g := Grant{Source: from(client4), Service: port.Single(packet.TCP, n), Timeout: timeout, Access: "ssh"}
	if to := modelTargets[m.chance.IntN(len(modelTargets))]; to != "" {
		g.Forward = toTarget(to)
		g.Masquerade = !g.Forward.Local() && m.chance.IntN(2) == 0
	}
	m.note("grant %d to %q for %v, masquerade %t", n, g.Forward, timeout, g.Masquerade)
	err := m.lab.gate.Grant(g)
	if !m.forward && g.Forward.Port != 0 {
		if err == nil {
			m.t.Fatal("granted without a map")
		}
		return
	}
	if err != nil {
		m.t.Fatal(err)
	}
	ends := time.Now().Add(timeout)
	// One that leads to the same place and has more time left stays.
	if old, ok := m.grants[n]; !ok || !old.leadsWhere(g) || m.ends[n].Before(ends) {
		m.ends[n] = ends
	}
	m.grants[n] = g
}

// check compares the table and the traffic with the model.
func (m *forwardModel) check() {
	m.t.Helper()
	for n, until := range m.ends {
		if time.Now().After(until) {
			delete(m.grants, n)
		}
	}
	listed := make(map[uint16]Grant)
	for _, g := range grants(m.t, m.lab.gate) {
		listed[g.Service.First] = g
	}
	for _, n := range modelDialled {
		g, ok := m.grants[n]
		if l, found := listed[n]; found != ok || l.Forward != g.Forward || l.Masquerade != g.Masquerade {
			m.t.Fatalf("%v\nlisted for %d: %t %+v, want %t %+v", m.steps, n, found, l, ok, g)
		}
		if got, want := m.leads(n), m.want(n); got != want {
			m.t.Fatalf("%v\n%d leads to %q, want %q", m.steps, n, got, want)
		}
	}
}

// Whatever happens, each port leads where the grants say, and nowhere else.
func TestForwardModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{Owner: OwnerOff})
			behind := &lab{t: t, server: l.container()}
			behind.named(":81", "behind 81")
			behind.named(":82", "behind 82")
			for _, n := range []uint16{22, 23, 2222, 2223} {
				l.named(fmt.Sprint(":", n), fmt.Sprint("own ", n))
			}
			m := &forwardModel{t: t, lab: l, chance: rand.New(rand.NewPCG(7, seed)), forward: true,
				grants: make(map[uint16]Grant), ends: make(map[uint16]time.Time)}
			m.apply()
			for range 40 {
				m.step()
				m.check()
			}
		})
	}
}
