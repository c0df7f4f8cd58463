package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"nftknock/test/kernels/job"
)

// machine is a virtual machine that powers itself off.
type machine struct {
	kernel, initramfs string
	console           string // file for a copy of the console
	accel             string // qemu's -accel
	limit             time.Duration
}

// run boots the machine and prints the lines of its init program. It returns an error unless
// the last line says that every job succeeded.
func (m machine) run(release string, jobs []job.Job) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.limit)
	defer cancel()
	fmt.Printf("== Linux %s (console: %s)\n", release, m.console)
	start := time.Now()
	lines, err := m.boot(ctx)
	fmt.Printf("   the machine ran for %.0f s\n", time.Since(start).Seconds())
	if ctx.Err() != nil {
		err = fmt.Errorf("the machine did not end in %v", m.limit)
	}
	if err == nil {
		err = verdict(lines, job.Last(release, jobs, func(job.Job) int { return 0 }))
	}
	if err != nil {
		fmt.Printf("   the end of %s:\n%s\n", m.console, tail(lines))
	}
	return err
}

// verdict returns an error unless the last line of the init program is want.
func verdict(lines []string, want string) error {
	last := ""
	for _, line := range lines {
		if strings.HasPrefix(line, job.Mark) {
			last = line
		}
	}
	if last != want {
		return fmt.Errorf("the console ends with %q, want %q", last, want)
	}
	return nil
}

// boot runs qemu until it ends, and returns the lines of the console.
func (m machine) boot(ctx context.Context) (lines []string, err error) {
	file, err := os.Create(m.console)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = file
	// The kernel kills qemu if this process is killed. It sends the signal when the
	// thread ends that started qemu, so the thread must be kept.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (apt-get install qemu-system-x86)", err)
	}
	lines, err = follow(io.TeeReader(out, file))
	return lines, errors.Join(err, cmd.Wait())
}

func (m machine) args() []string {
	return []string{
		"-accel", m.accel, "-cpu", "max", "-smp", "2", "-m", "1024",
		"-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", // without defaults there is no network
		"-kernel", m.kernel, "-initrd", m.initramfs,
		"-append", "console=ttyS0 panic=-1 oops=panic quiet",
	}
}

// follow reads the console to its end and prints the lines of the init program.
func follow(r io.Reader) (lines []string, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := strings.TrimRight(s.Text(), "\r")
		lines = append(lines, line)
		if said, ok := strings.CutPrefix(line, job.Mark); ok {
			fmt.Println("   " + said)
		}
	}
	return lines, s.Err()
}

// tail returns the lines of a console to show after a failure: those that report a failure,
// and the last ones, without those about tests that passed.
func tail(lines []string) string {
	const end = 40
	var shown []string
	for _, line := range lines {
		if passed := strings.HasPrefix(line, "=== ") || strings.Contains(line, "--- PASS"); !passed {
			shown = append(shown, line)
		}
	}
	last := max(0, len(shown)-end)
	var failures []string
	for _, line := range shown[:last] {
		if strings.Contains(line, "--- FAIL") || strings.Contains(line, "_test.go:") {
			failures = append(failures, line)
		}
	}
	return "     " + strings.Join(append(failures, shown[last:]...), "\n     ")
}
