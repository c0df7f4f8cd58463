package main

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nftknock": main})
}

// Scripts send to loopback addresses only. $OPEN is a TCP port there that
// accepts connections, $CLOSED one that refuses them; HOME is the script's
// own directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			open, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { open.Close() })
			closed, err := unusedPort()
			if err != nil {
				return err
			}
			env.Setenv("OPEN", portOf(open))
			env.Setenv("CLOSED", closed)
			env.Setenv("HOME", env.WorkDir)
			// These move the configuration directory, and Windows and
			// macOS have others.
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+string(os.PathSeparator)+"config")
			return nil
		},
	})
}

func portOf(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// unusedPort is a TCP port nobody listens on, now.
func unusedPort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return portOf(l), nil
}
