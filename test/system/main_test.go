//go:build system

package system

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside is the environment variable by which the second process knows that it is inside its
// namespaces.
const inside = "NFTKNOCK_SYSTEM_INSIDE"

func TestMain(m *testing.M) {
	if os.Getenv(inside) == "" {
		os.Exit(outer())
	}
	os.Exit(inner(m))
}

// outer builds the root and runs the tests in a second process.
func outer() int {
	if os.Getuid() != 0 {
		return failed(errors.New("needs root: debootstrap and systemd-nspawn do"))
	}
	if err := buildRoot(); err != nil {
		return failed(err)
	}
	status, err := runInside()
	if err != nil {
		return failed(err)
	}
	return status
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "system: error:", err)
	return 1
}

// runInside runs the program again, in namespaces of its own, and returns its exit status.
func runInside() (status int, err error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	group := fmt.Sprintf("nftknock-system-%d", os.Getpid())
	cmd.Env = append(os.Environ(), inside+"="+group)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// NB: in a namespace of process ids, the end of the first process ends all others.
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		// Ctrl-C is for this process alone, which then kills the other.
		Setpgid: true,
	}
	// The kernel sends Pdeathsig when the thread ends that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, removeGroup(group)) }()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-interrupts
		_ = cmd.Process.Kill() // fails only if the process has ended
	}()
	skipped := report(out, os.Stdout)
	switch err := cmd.Wait(); {
	case err != nil && cmd.ProcessState == nil:
		return 0, err
	case cmd.ProcessState.ExitCode() != 0:
		return 1, nil
	case skipped:
		return 0, errors.New("a skipped test counts as a failure")
	}
	return 0, nil
}

// report copies the output of tests with -test.v, but for the lines that say that a test
// begins or goes on. It reports whether a test was skipped.
func report(in io.Reader, out io.Writer) (skipped bool) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		skipped = skipped || strings.HasPrefix(strings.TrimSpace(line), "--- SKIP: ")
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(out, line)
		}
		if err != nil { // the end of the output, or of the process
			return skipped
		}
	}
}

// inner boots the machine and runs the tests. It is the first process of its namespaces:
// when it ends, nothing is left of the machine.
func inner(m *testing.M) int {
	if os.Getpid() != 1 {
		return failed(fmt.Errorf("%s is set, and this is not the first process of its namespace", inside))
	}
	for _, step := range []func() error{
		func() error { return joinGroup(os.Getenv(inside)) },
		privateMounts, mountRoot, install, furnish, machine.boot,
	} {
		if err := step(); err != nil {
			return failed(err)
		}
	}
	return m.Run()
}

// privateMounts makes a /proc for the namespace of process ids. No mount made from here on is
// seen outside.
func privateMounts() error {
	return errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""))
}
