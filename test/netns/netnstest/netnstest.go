// Package netnstest contains helpers for tests that use package netns.
package netnstest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"nftknock/test/netns"
)

// forbidden is the reason why kernel tests cannot run, or nil.
var forbidden error

// Main is a complete TestMain: it runs the tests of the package in new user and network
// namespaces, calls clearUp, and exits.
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

// Require skips the test if namespaces are forbidden, and says why. If the environment
// variable CI is set the test fails instead, so that no test is skipped unnoticed.
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

// New is netns.New for a test. The host is removed when the test ends.
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

// Do is (*netns.NS).Do; it fails the test on error.
func Do(t testing.TB, n *netns.NS, f func() error) {
	t.Helper()
	if err := n.Do(f); err != nil {
		t.Fatal(err)
	}
}

// Connect is netns.Connect for a test. Addresses are prefixes, such as "10.0.0.1/24". Its
// parameters: those of netns.Connect, after the test.
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
