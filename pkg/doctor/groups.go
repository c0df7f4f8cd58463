package doctor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Group is an NFLOG group that a process receives.
type Group struct {
	Number uint16
	// Process is the one that does, 0 if it was not found; Name is its name.
	Process int
	Name    string
}

func readAtMost(r io.Reader, n int64) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, n))
	return string(b), err
}

// readGroups reads the groups in use, and looks for their owners.
func (h *Host) readGroups() error {
	// The columns are group, port ID, and figures (seq_show, net/netfilter/nfnetlink_log.c).
	text, err := readProc(procNet + "/netfilter/nfnetlink_log")
	if err != nil {
		return err
	}
	owners, err := netlinkSockets()
	if err != nil {
		return err
	}
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		number, err := strconv.ParseUint(f[0], 10, 16)
		if err != nil {
			return fmt.Errorf("nfnetlink_log: bad line %q", line)
		}
		g := Group{Number: uint16(number)}
		if inode := owners[f[1]]; inode != "" {
			g.Process, g.Name = processWith("socket:[" + inode + "]")
		}
		h.Groups = append(h.Groups, g)
	}
	return nil
}

// netlinkSockets returns the inodes of the netfilter sockets by their port IDs.
func netlinkSockets() (map[string]string, error) {
	// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (netlink_native_seq_show,
	// net/netlink/af_netlink.c)
	text, err := readProc(procNet + "/netlink")
	if err != nil {
		return nil, err
	}
	inodes := make(map[string]string)
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) >= 10 && f[1] == strconv.Itoa(unix.NETLINK_NETFILTER) {
			inodes[f[2]] = f[9]
		}
	}
	return inodes, nil
}

// maxDescriptors bounds the descriptors that are looked at for the owner of a socket.
const maxDescriptors = 1 << 17

// processWith returns a process that has a file open, and its name; 0 if none is found.
// What belongs to other users only root sees.
func processWith(link string) (int, string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	left := maxDescriptors
	for _, dir := range processes {
		files, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue
		}
		for _, file := range files {
			if left--; left < 0 {
				return 0, ""
			}
			if target, err := os.Readlink(dir + "/fd/" + file.Name()); err == nil && target == link {
				pid, _ := strconv.Atoi(filepath.Base(dir)) // the pattern wants digits
				return pid, processName(dir)
			}
		}
	}
	return 0, ""
}

func processName(dir string) string {
	name, err := readProc(dir + "/comm")
	if err != nil {
		return ""
	}
	// A process may have any bytes in its name, such as those that move a terminal's cursor.
	return strings.Trim(strconv.QuoteToASCII(strings.TrimSpace(name)), `"`)
}

// findDaemon asks who listens on the control socket.
func (h *Host) findDaemon(path string) error {
	if path == "" {
		return errors.New("the policy has no control socket")
	}
	c, err := net.Dial("unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) { peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, peerErr); err != nil {
		return err
	}
	h.Running, h.Daemon = true, int(peer.Pid)
	return nil
}

// takenGroups finds the groups of the policy that another process receives.
func takenGroups(p Policy, h *Host) []Finding {
	var list []Finding
	for _, g := range h.Groups {
		n := int(g.Number) - int(p.Group)
		if n < 0 || n >= p.Workers || g.Process != 0 && g.Process == h.Daemon {
			continue
		}
		f := Finding{Severity: Error, Code: "group-taken",
			Message: fmt.Sprintf("NFLOG group %d belongs to process %d (%s): nftknockd does not receive knocks", g.Number, g.Process, g.Name),
			Hint:    "stop that process (ulogd2 is a usual one), or give nftknock another group in [nflog]"}
		if g.Process == 0 {
			// It may be the daemon: without root its descriptors are not seen.
			if h.Running {
				continue
			}
			f.Message = fmt.Sprintf("NFLOG group %d belongs to another process, which was not found: nftknockd does not receive knocks", g.Number)
		}
		list = append(list, f)
	}
	return list
}
