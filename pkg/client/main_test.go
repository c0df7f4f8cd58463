//go:build linux

package client

import (
	"os"
	"testing"

	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) {
	// A second run of the test binary: the child of echo_test.go.
	if dst := os.Getenv(childDst); dst != "" {
		os.Exit(echoChild(dst))
	}
	netnstest.Main(m)
}
