package nflog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// holdGroup is an environment variable with the number of a group. It makes the test
// program bind that group until its standard input ends.
const holdGroup = "NFLOG_TEST_HOLD_GROUP"

func TestMain(m *testing.M) {
	if group, err := strconv.ParseUint(os.Getenv(holdGroup), 10, 16); err == nil {
		hold(uint16(group))
		return
	}
	netnstest.Main(m)
}

func hold(group uint16) {
	r, err := Open(Config{Groups: []uint16{group}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	fmt.Println("holding")
	io.Copy(io.Discard, os.Stdin)
}

// startHolder starts a process inside n that holds the group until the test
// ends.
func startHolder(t *testing.T, n *netns.NS, group uint16) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", holdGroup, group))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	said := make([]byte, 256)
	if n, err := out.Read(said); err != nil || string(said[:n]) != "holding\n" {
		t.Fatalf("the other process printed %q, %v", said[:n], err)
	}
}

// logUDP logs packets to a UDP port to each of the groups in order, and drops them, so
// that no ICMP error is sent.
func logUDP(t testing.TB, n *netns.NS, port uint16, groups ...uint16) {
	t.Helper()
	rule := append(toUDP(port), logTo(groups)...)
	addRule(t, n, nftables.ChainHookPrerouting, append(rule, &expr.Verdict{Kind: expr.VerdictDrop}))
}

func toUDP(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

func logTo(groups []uint16) (list []expr.Any) {
	for _, g := range groups {
		list = append(list, &expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: g})
	}
	return list
}

func addRule(t testing.TB, n *netns.NS, hook *nftables.ChainHook, exprs []expr.Any) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Name: "lab", Family: nftables.TableFamilyINet})
		chain := c.AddChain(&nftables.Chain{
			Name: fmt.Sprint("lab", *hook), Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityMangle,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		return c.Flush()
	})
}

// open opens a Reader inside n and closes it when the test ends.
func open(t testing.TB, n *netns.NS, c Config) *Reader {
	t.Helper()
	var r *Reader
	netnstest.Do(t, n, func() (err error) {
		r, err = Open(c)
		return err
	})
	t.Cleanup(func() { r.Close() })
	return r
}

// dial returns a UDP socket inside n that sends to a port of its own host.
func dial(t testing.TB, n *netns.NS, port uint16) net.Conn {
	t.Helper()
	return dialTo(t, n, fmt.Sprintf("127.0.0.1:%d", port))
}

func dialTo(t testing.TB, n *netns.NS, addr string) net.Conn {
	t.Helper()
	var conn net.Conn
	netnstest.Do(t, n, func() (err error) {
		conn, err = net.Dial("udp", addr)
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, payload []byte) {
	t.Helper()
	if _, err := conn.Write(payload); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s Source) Record {
	t.Helper()
	var rec Record
	if err := s.Read(&rec); err != nil {
		t.Fatal(err)
	}
	rec.Payload = bytes.Clone(rec.Payload)
	return rec
}

// udpHeaders is the size of the headers of IPv4 and UDP in bytes.
const udpHeaders = 20 + 8

// numbered returns the data of packet i of a test, size bytes long.
func numbered(i, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, uint64(i))
	return b
}

func number(t testing.TB, rec *Record) int {
	t.Helper()
	if len(rec.Payload) < udpHeaders+8 {
		t.Fatalf("a payload of %d bytes holds no number", len(rec.Payload))
	}
	return int(binary.BigEndian.Uint64(rec.Payload[udpHeaders:]))
}
