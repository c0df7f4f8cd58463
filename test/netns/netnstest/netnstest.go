// Package netnstest lets tests use package netns.
package netnstest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"nftknock/test/netns"
)

// forbidden is why kernel tests cannot run, or nil.
var forbidden error

// Main is the whole of a package's TestMain: it runs the package's tests in
// user and network namespaces of their own, and clears up after them.
//
//	func TestMain(m *testing.M) { netnstest.Main(m) }
func Main(m *testing.M, clearUp ...func()) {
	inside, status, err := netns.Enter()
	switch {
	case errors.Is(err, netns.ErrForbidden):
		forbidden = err
	case err != nil:
		fmt.Fprintln(os.Stderr, "netnstest:", err)
		os.Exit(1)
	}
	if inside || forbidden != nil {
		status = m.Run()
		for _, f := range clearUp {
			f()
		}
	}
	os.Exit(status)
}

// Require skips the test where namespaces are forbidden, saying why. With CI
// in the environment the test fails instead, so that no check goes missing
// unseen.
func Require(t testing.TB) {
	t.Helper()
	switch {
	case forbidden == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%v\n%s", forbidden, netns.Hint)
	default:
		t.Skipf("%v\n%s", forbidden, netns.Hint)
	}
}

// New is netns.New for a test: a host that is gone with the test.
func New(t testing.TB) *netns.NS {
	t.Helper()
	Require(t)
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// Do is (*netns.NS).Do that fails the test on error.
func Do(t testing.TB, n *netns.NS, f func() error) {
	t.Helper()
	if err := n.Do(f); err != nil {
		t.Fatal(err)
	}
}

// Connect is netns.Connect for a test; addresses are written as prefixes.
func Connect(t testing.TB, a, b *netns.NS, device string, addrsA, addrsB []string) {
	t.Helper()
	if err := netns.Connect(a, b, device, prefixes(addrsA), prefixes(addrsB)); err != nil {
		t.Fatal(err)
	}
}

func prefixes(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
