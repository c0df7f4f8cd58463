package nflog

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// admitAnswers makes the kernel drop all messages but its answers to requests, until
// admitAll. While Open binds groups, a flood of packets of the first groups could
// otherwise fill the receive buffer and leave no room for answers.
func (s *socket) admitAnswers() error {
	// A load of classic BPF converts from network byte order, but the type of a
	// message is in the byte order of the host.
	answer := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.NLMSG_ERROR))
	const typeOffset = 4 // in struct nlmsghdr
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: typeOffset},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(answer), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return s.setOption("attach filter", func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
}

// admitAll ends what admitAnswers began.
func (s *socket) admitAll() error {
	return s.setOption("detach filter", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
}

func (s *socket) setOption(name string, set func(fd int) error) (err error) {
	if controlErr := s.raw.Control(func(fd uintptr) { err = set(int(fd)) }); controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return fmt.Errorf("nflog: %s: %w", name, err)
	}
	return nil
}
