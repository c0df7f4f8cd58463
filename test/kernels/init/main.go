// Command init is process 1 of the virtual machines of test/kernels. It loads modules, runs
// the jobs, writes their results to the console and powers the machine off.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/test/kernels/job"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: error: this program is for virtual machines: it powers off the machine that it runs on")
		os.Exit(2)
	}
	if err := run(); err != nil {
		say("error: %v", err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// If that fails, process 1 ends, which makes the kernel panic; the machine ends then
	// too (panic=-1 and -no-reboot in machine.args).
}

// say writes a line to the console.
func say(format string, args ...any) {
	// The newline before it ends an incomplete line of a job.
	fmt.Printf("\n"+job.Mark+format+"\n", args...)
}

func run() error {
	if err := mount(); err != nil {
		return err
	}
	text, err := os.ReadFile(job.File)
	if err != nil {
		return err
	}
	var plan job.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return err
	}
	if err := load(plan.Modules); err != nil {
		return err
	}
	release, err := release()
	if err != nil {
		return err
	}
	say("booted Linux %s in %s", release, uptime())
	status := make(map[string]int)
	for _, j := range plan.Jobs {
		start := time.Now()
		status[j.Name] = do(j)
		say("%s ended with status %d after %.1f s", j.Name, status[j.Name], time.Since(start).Seconds())
	}
	fmt.Printf("\n%s\n", job.Last(release, plan.Jobs, func(j job.Job) int { return status[j.Name] }))
	return nil
}

func mount() error {
	for _, m := range []struct{ fstype, dir string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, m.dir, m.fstype, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	return nil
}

// load loads every module that the tests need. The kernel cannot load any later, because
// the machine has no modprobe.
func load(modules []string) error {
	for _, path := range modules {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

// release returns the output of uname -r.
func release() (string, error) {
	var u unix.Utsname
	err := unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:]), err
}

func uptime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // never fails: every kernel has this clock
	return time.Duration(ts.Nano()).Round(100 * time.Millisecond)
}

// Statuses of jobs without an exit status, or that failed in spite of it.
const (
	notStarted = 126
	notChecked = 125 // the program succeeded, but not all tests ran
)

// do runs a job and returns its exit status.
func do(j job.Job) int {
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Env = append([]string{"PATH=/", "HOME=/tmp", "TMPDIR=/tmp"}, j.Env...)
	var output bytes.Buffer
	cmd.Stdout = io.MultiWriter(os.Stdout, &output)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	switch {
	case cmd.ProcessState == nil:
		say("%s: %v", j.Name, err)
		return notStarted
	case err != nil && cmd.ProcessState.Success():
		say("%s: %v", j.Name, err) // its output was lost
		return notChecked
	case cmd.ProcessState.ExitCode() != 0:
		return cmd.ProcessState.ExitCode() // -1 where a signal ended it
	}
	if err := job.CheckTests(output.String(), j.Tests); err != nil {
		say("%s: %v", j.Name, err)
		return notChecked
	}
	return 0
}
