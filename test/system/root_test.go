//go:build system

package system

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	top     = "../.." // of the source tree
	baseDir = top + "/bin/system/root"
	runDir  = top + "/bin/system/run"
)

// rootDir is the root of the machine's file system: the base with the changes of this run.
var rootDir = absolute(runDir + "/merged")

// packages are installed in the machine, besides those that Debian needs.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "libpam-systemd", // the last for polkitd, which firewalld needs
	"nftables", "iptables", "firewalld", "ufw", "conntrack",
	"openssh-server", "openssh-client", "iproute2", "procps", "nmap", "netcat-openbsd",
}

// recipe is what the base is made of. When it changes, the base is built anew.
var recipe = strings.Join([]string{
	"bookworm", strings.Join(packages, ","), strings.Join(masked, ","), strings.Join(disabled, ","),
}, "\n") + "\n"

// masked are units that would use the network or the time of the tests.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "dpkg-db-backup.timer",
	"systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service",
}

// disabled are firewalls, each of which a test of its own starts.
var disabled = []string{"nftables.service", "firewalld.service", "ufw.service"}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic("system: " + err.Error())
	}
	return abs
}

// buildRoot makes the base with debootstrap, unless it is there and was made of the same
// recipe.
func buildRoot() error {
	stamp := baseDir + ".stamp"
	if made, err := os.ReadFile(stamp); err == nil && string(made) == recipe {
		return nil
	}
	fmt.Println("system: building bin/system/root with debootstrap: two minutes, the first time")
	part := baseDir + ".part"
	err := errors.Join(
		os.RemoveAll(stamp), os.RemoveAll(baseDir), os.RemoveAll(part),
		os.MkdirAll(filepath.Dir(part), 0o755))
	if err != nil {
		return err
	}
	if err := run("debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), "bookworm", part); err != nil {
		return err
	}
	systemctl := []string{"--root=" + part, "--quiet"}
	if err := run("systemctl", append(append(systemctl, "mask"), masked...)...); err != nil {
		return err
	}
	if err := run("systemctl", append(append(systemctl, "disable"), disabled...)...); err != nil {
		return err
	}
	return errors.Join(
		// The journal then outlives a reboot.
		os.MkdirAll(part+"/var/log/journal", 0o755),
		os.Rename(part, baseDir),
		os.WriteFile(stamp, []byte(recipe), 0o644))
}

// run runs a program of the host. The error has its output.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, lastLines(string(out), 20))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// mountRoot lays an empty directory over the base, for what this run changes.
func mountRoot() error {
	upper, work := absolute(runDir+"/upper"), absolute(runDir+"/work")
	err := os.RemoveAll(runDir)
	for _, dir := range []string{upper, work, rootDir} {
		err = errors.Join(err, os.MkdirAll(dir, 0o755))
	}
	if err != nil {
		return err
	}
	layers := "lowerdir=" + absolute(baseDir) + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", rootDir, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount an overlay of %s: %w", baseDir, err)
	}
	return mountOutside()
}

// outsideDir is the machine's file system with a /proc, for the programs that the tests run in
// the root and outside of the machine. systemd-nspawn boots from no root that has one.
var outsideDir = absolute(runDir + "/outside")

func mountOutside() error {
	return errors.Join(
		os.MkdirAll(outsideDir, 0o755),
		unix.Mount(rootDir, outsideDir, "", unix.MS_BIND, ""),
		unix.Mount("proc", outsideDir+"/proc", "proc", 0, ""))
}

// install installs the programs and the unit as an administrator does.
func install() error {
	return run("make", "-s", "-C", top, "install", "DESTDIR="+rootDir, "PREFIX=/usr")
}

// furnish adds what the tests need in the machine.
func furnish() error {
	for path, text := range map[string]string{
		"/etc/hostname": "machine\n",
		"/etc/hosts":    "127.0.0.1 localhost machine\n",
		// As other programs that configure the network, it comes after the guard.
		"/etc/systemd/system/test-network.service": networkUnit,
	} {
		if err := os.WriteFile(rootDir+path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := run("systemctl", "--root="+rootDir, "--quiet", "enable", "test-network.service"); err != nil {
		return err
	}
	return loginKey()
}

// loginKey makes the key with which clients log in as root.
func loginKey() error {
	const key = "/root/client-key"
	if err := run("chroot", rootDir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key); err != nil {
		return err
	}
	public, err := os.ReadFile(rootDir + key + ".pub")
	return errors.Join(err,
		os.MkdirAll(rootDir+"/root/.ssh", 0o700),
		os.WriteFile(rootDir+"/root/.ssh/authorized_keys", public, 0o600))
}

// inRoot is the path of a file of the machine, as the tests see it.
func inRoot(path string) string { return filepath.Join(rootDir, path) }
