package setup

import (
	"cmp"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"

	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// A Service is a port on which this host listens for other hosts.
type Service struct {
	port.Range
	// Programs are the names of the processes that have the sockets, without duplicates. There
	// are none where this process may not look.
	Programs []string
	// Sessions are the addresses of the hosts that are connected to it now, without
	// duplicates. TCP only.
	Sessions []netip.Addr
}

// String returns the service with what is known about it, in one line.
func (s Service) String() string {
	text := s.Range.String()
	if len(s.Programs) > 0 {
		text += " (" + strings.Join(s.Programs, ", ") + ")"
	}
	if n := len(s.Sessions); n > 0 {
		var from []string
		for _, a := range s.Sessions[:min(n, maxShown)] {
			from = append(from, a.String())
		}
		text += ", connected now: " + strings.Join(from, ", ")
		if n > maxShown {
			text += fmt.Sprintf(" and %d more", n-maxShown)
		}
	}
	return text
}

// maxShown is how many of the connected hosts of a service are shown.
const maxShown = 5

// Services returns the services of the host whose /proc is given, in the order of their
// protocols and ports. A service that listens on loopback addresses alone is left out: no other
// host reaches it.
func Services(proc fs.FS) ([]Service, error) {
	net, err := fs.Sub(proc, "net")
	if err != nil {
		return nil, err
	}
	found := make(map[port.Range]*Service)
	sockets := make(map[string]*Service) // by inode
	var peers []policy.Socket
	err = policy.Sockets(net, func(s policy.Socket) {
		if s.Local.Port() == 0 || s.Local.Addr().IsLoopback() {
			return
		}
		if s.Established {
			peers = append(peers, s)
		}
		if !s.Listens {
			return
		}
		key := port.Single(s.Protocol, s.Local.Port())
		if found[key] == nil {
			found[key] = &Service{Range: key}
		}
		if s.Inode != "" {
			sockets[s.Inode] = found[key]
		}
	})
	if err != nil {
		return nil, err
	}
	for _, s := range peers {
		if service := found[port.Single(packet.TCP, s.Local.Port())]; service != nil {
			service.Sessions = addNew(service.Sessions, s.Remote.Addr())
		}
	}
	namePrograms(proc, sockets)
	var list []Service
	for _, s := range found {
		slices.Sort(s.Programs)
		slices.SortFunc(s.Sessions, netip.Addr.Compare)
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First))
	})
	return list, nil
}

func addNew[T comparable](list []T, value T) []T {
	if slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}

// namePrograms finds the processes that have sockets open. Processes that may not be looked at,
// or that end meanwhile, are left out.
func namePrograms(proc fs.FS, sockets map[string]*Service) {
	processes, err := fs.ReadDir(proc, ".")
	if err != nil {
		return
	}
	for _, p := range processes {
		if name := p.Name(); name[0] < '1' || name[0] > '9' {
			continue
		}
		descriptors, err := fs.ReadDir(proc, path.Join(p.Name(), "fd"))
		if err != nil {
			continue
		}
		for _, d := range descriptors {
			// Of a socket the link is "socket:[12345]": see proc(5).
			to, err := fs.ReadLink(proc, path.Join(p.Name(), "fd", d.Name()))
			inode, isSocket := strings.CutPrefix(to, "socket:[")
			if err != nil || !isSocket {
				continue
			}
			if s := sockets[strings.TrimSuffix(inode, "]")]; s != nil {
				if comm, err := fs.ReadFile(proc, path.Join(p.Name(), "comm")); err == nil {
					s.Programs = addNew(s.Programs, printable(strings.TrimSpace(string(comm))))
				}
			}
		}
	}
}

// printable leaves out what could change the look of a terminal: a process chooses its name.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// SSH returns the services that ssh listens on: those of a process sshd, or else tcp/22.
func SSH(services []Service) []port.Range {
	var found []port.Range
	for _, s := range services {
		if s.Protocol == packet.TCP && slices.Contains(s.Programs, "sshd") {
			found = append(found, s.Range)
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, s := range services {
		// Under socket activation systemd has the socket.
		if s.Protocol == packet.TCP && s.First == 22 {
			found = append(found, s.Range)
		}
	}
	return found
}
