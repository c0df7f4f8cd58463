// Package lab is a small network for nftknock: a server and its clients, each a network
// namespace, joined by veth pairs. nftknockd and nftknock run in it as programs.
//
// netns.Enter must have returned with inside true.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"nftknock/test/netns"
)

// The server's addresses. The IPv4 address is that of the 2004 article.
var (
	Server4 = netip.MustParseAddr("10.3.2.1")
	Server6 = netip.MustParseAddr("fd00:3:2::1")
)

// Lab is a server with its clients.
type Lab struct {
	Dir      string // of the server's files
	Programs string // directory of nftknockd and nftknock
	Server   *netns.NS
	Clients  []*Client
	// DaemonEnv are variables ("NAME=value") of the daemons that StartDaemon starts from now
	// on, beside those of this process.
	DaemonEnv []string
}

// Client is a host that is joined to the server.
type Client struct {
	*netns.NS
	Addr4, Addr6 netip.Addr
	lab          *Lab
}

// New makes a server and n clients. The first client has the address of the client in the
// 2004 article, 192.168.10.2; the others are 192.168.11.2 and so on, each in a network of
// its own. dir is for the server's files; programs is the directory of nftknockd and
// nftknock.
func New(dir, programs string, n int) (*Lab, error) {
	l := &Lab{Dir: dir, Programs: programs}
	var err error
	if l.Server, err = netns.New(); err != nil {
		return nil, err
	}
	for i := range n {
		if err := l.addClient(i); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// Close closes the handles of the namespaces, which end when their last process has.
func (l *Lab) Close() {
	for _, c := range l.Clients {
		c.Close()
	}
	l.Server.Close()
}

func (l *Lab) addClient(i int) error {
	host, err := netns.New()
	if err != nil {
		return err
	}
	c := &Client{
		NS:    host,
		Addr4: netip.AddrFrom4([4]byte{192, 168, byte(10 + i), 2}),
		Addr6: netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(10 + i), 15: 2}),
		lab:   l,
	}
	l.Clients = append(l.Clients, c)
	return l.cable(i, c)
}

// Reconnect makes the cable to client i anew, whose old one was taken away, and returns the
// client.
func (l *Lab) Reconnect(i int) (*Client, error) { return l.Clients[i], l.cable(i, l.Clients[i]) }

// cable joins client i and the server.
func (l *Lab) cable(i int, c *Client) error {
	host := c.NS
	gateway4 := netip.AddrFrom4([4]byte{192, 168, byte(10 + i), 1})
	gateway6 := netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(10 + i), 15: 1})
	server := []netip.Prefix{
		netip.PrefixFrom(gateway4, 24), netip.PrefixFrom(gateway6, 64),
	}
	if i == 0 {
		server = append(server, netip.PrefixFrom(Server4, 32), netip.PrefixFrom(Server6, 128))
	}
	// The server's addresses are on eth0; other clients reach them by their gateway.
	err := netns.Connect(l.Server, host, fmt.Sprint("eth", i), server,
		[]netip.Prefix{netip.PrefixFrom(c.Addr4, 24), netip.PrefixFrom(c.Addr6, 64)})
	if err != nil {
		return err
	}
	return errors.Join(host.Route(gateway4), host.Route(gateway6))
}

// Build compiles both programs into dir, with more flags for go build. The modules must
// have been downloaded, because a namespace has no Internet access.
func Build(dir string, flags ...string) error {
	args := append([]string{"build", "-o", dir + "/"}, flags...)
	cmd := exec.Command("go", append(args, "nftknock/cmd/nftknockd", "nftknock/cmd/nftknock")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return nil
}

// Write writes a file in the lab's directory and returns its path.
func (l *Lab) Write(name, content string) (string, error) {
	path := filepath.Join(l.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(content), 0o600)
}

// Serve runs a TCP service on all addresses of the server until ctx is done. It sends a
// banner on each connection.
func (l *Lab) Serve(ctx context.Context, port uint16, banner string) error {
	var listener net.Listener
	err := l.Server.Do(func() (err error) {
		listener, err = net.Listen("tcp", fmt.Sprint(":", port))
		return err
	})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.WriteString(conn, banner+"\n"); err == nil {
					// Keep the connection open until the client closes it.
					_, _ = io.Copy(io.Discard, conn)
				}
			}()
		}
	}()
	return nil
}

// Dial connects to a port of the server.
func (c *Client) Dial(server netip.Addr, port uint16, timeout time.Duration) (net.Conn, error) {
	var conn net.Conn
	err := c.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", netip.AddrPortFrom(server, port).String(), timeout)
		return err
	})
	return conn, err
}

// Open reports whether a port of the server accepts connections.
func (c *Client) Open(server netip.Addr, port uint16) bool {
	// Less than the second after which TCP repeats a SYN (RFC 6298): only one is sent.
	conn, err := c.Dial(server, port, 900*time.Millisecond)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Run runs a program on the client and returns its output.
func (c *Client) Run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := c.Start(cmd); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// Nftknock runs nftknock on the client.
func (c *Client) Nftknock(args ...string) (string, error) {
	return c.Run(filepath.Join(c.lab.Programs, "nftknock"), args...)
}

// Attach makes host number i behind the client, which is its gateway. The host reaches the
// server if the client forwards packets.
func (c *Client) Attach(i int) (*Client, error) {
	host, err := netns.New()
	if err != nil {
		return nil, err
	}
	h := &Client{NS: host, Addr4: netip.AddrFrom4([4]byte{172, 16, byte(i), 2}), lab: c.lab}
	router := netip.AddrFrom4([4]byte{172, 16, byte(i), 1})
	err = netns.Connect(c.NS, host, fmt.Sprint("lan", i),
		[]netip.Prefix{netip.PrefixFrom(router, 24)}, []netip.Prefix{netip.PrefixFrom(h.Addr4, 24)})
	if err == nil {
		err = host.Route(router)
	}
	if err != nil {
		host.Close()
		return nil, err
	}
	return h, nil
}
