//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a terminal as a person has it before him.
type terminal struct {
	*os.File          // the person's side
	program  *os.File // the program's
	shown    bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return &terminal{File: person, program: program}
}

// start runs nftknock on the terminal, and closes the program's side of it when
// it has ended.
func (term *terminal) start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Args[0] = "nftknock" // see TestMain
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, term.program, term.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// wait reads until the terminal shows a text.
func (term *terminal) wait(t *testing.T, text string) {
	t.Helper()
	for b := make([]byte, 4096); !strings.Contains(term.shown.String(), text); {
		if err := term.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := term.Read(b)
		term.shown.Write(b[:n])
		if err != nil {
			t.Fatalf("no %q on the terminal: %v\n%s", text, err, &term.shown)
		}
	}
}

// echoes reports whether the terminal shows what is typed.
func (term *terminal) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(term.program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestKeysAreAskedForWithoutEcho(t *testing.T) {
	term := newTerminal(t)
	cmd := term.start(t, "-T", "--spa", "-p", "22", "10.3.2.1")
	for _, q := range []struct{ question, answer string }{
		{"Key for 10.3.2.1: ", "open sesame\n"}, {"HMAC key for 10.3.2.1: ", "close sesame\n"},
	} {
		term.wait(t, q.question)
		for term.echoes(t) { // the question is asked first
			time.Sleep(time.Millisecond)
		}
		if _, err := term.WriteString(q.answer); err != nil {
			t.Fatal(err)
		}
	}
	term.wait(t, "unless the server's policy says otherwise")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(term.shown.String(), "sesame") {
		t.Errorf("a key is shown:\n%s", &term.shown)
	}
	if !term.echoes(t) {
		t.Error("the terminal is left without echo")
	}
}

func TestACodeIsAskedForInTheOpen(t *testing.T) {
	term := newTerminal(t)
	cmd := term.start(t, "-T", "--totp", "10.3.2.1")
	term.wait(t, "One-time code for 10.3.2.1: ")
	if _, err := term.WriteString("1234 5678\n"); err != nil {
		t.Fatal(err)
	}
	term.wait(t, "tcp/40378 -> 10.3.2.1")
	term.wait(t, "2 times in all")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(term.shown.String(), "1234 5678") {
		t.Errorf("the code is not shown:\n%s", &term.shown)
	}
}

func TestAnInterruptLeavesTheTerminalAsItWas(t *testing.T) {
	term := newTerminal(t)
	cmd := term.start(t, "-e", "-p", "22", "10.3.2.1")
	term.wait(t, "Key for 10.3.2.1: ")
	for term.echoes(t) {
		time.Sleep(time.Millisecond)
	}
	const controlC = "\x03"
	if _, err := term.WriteString(controlC); err != nil {
		t.Fatal(err)
	}
	term.wait(t, "nftknock: error: no key for 10.3.2.1: interrupted")
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("%v", err)
	}
	if !term.echoes(t) {
		t.Error("the terminal is left without echo")
	}
}

func TestASecretIsDrawnOnTheTerminal(t *testing.T) {
	term := newTerminal(t)
	cmd := term.start(t, "keygen", "--totp", "--issuer", "srv", "--account", "mbr")
	term.wait(t, "otpauth://totp/srv:mbr?secret=")
	term.wait(t, "▄▄▄")
	term.wait(t, "hosts.toml")
	term.wait(t, `key_file = "ssh.key"`)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
