package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"nftknock/test/kernels/job"
)

// build compiles all programs for the machines. They are static, because the machines have no
// C library.
func build(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := goTool("build", "-o", dir+"/", "./cmd/...", "./test/demo", "./test/kernels/init"); err != nil {
		return err
	}
	for _, s := range suites {
		if err := goTool("test", "-c", "-o", path.Join(dir, testBinary(s.pkg)), "./"+s.pkg); err != nil {
			return err
		}
	}
	return nil
}

func testBinary(pkg string) string { return path.Base(pkg) + ".test" }

func goTool(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// jobs returns the jobs of a machine.
func jobs(env []string) []job.Job {
	// With CI set, a test that cannot run fails instead of being skipped.
	env = append([]string{"CI=true"}, env...)
	list := []job.Job{{Name: "demo", Args: []string{"/programs/demo"}, Env: env}}
	for _, s := range suites {
		list = append(list, job.Job{
			Name:  path.Base(s.pkg),
			Args:  []string{"/programs/" + testBinary(s.pkg), "-test.v", "-test.run=" + strings.Join(s.patterns, "|")},
			Env:   env,
			Tests: s.patterns,
		})
	}
	return list
}
