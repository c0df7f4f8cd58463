//go:build linux

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// LiveReader gives the TCP SYNs that a running host sends and receives. Next
// must be kept to one goroutine at a time; Lost and Close may be called from
// any.
type LiveReader struct {
	what string // for errors
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	oob  []byte

	lost   atomic.Uint64
	closed atomic.Bool
}

const (
	// maxPacket is as long as a packet that is no jumbogram can be.
	maxPacket = 1 << 16
	// receiveBuffer is room for some thousand SYNs, in bytes.
	receiveBuffer = 4 << 20
)

// Live listens to the interface of that name, or with "" to all there are and
// will be, in the network namespace of the calling thread. It needs
// CAP_NET_RAW in the user namespace that owns the network namespace.
//
// What it gives are the packets that packet.Packet.PureSYN is true of, over
// IPv4 and over IPv6 with one extension header at most, and without fragments;
// the kernel passes over everything else, so that a busy host does not drown
// the reader. A packet that crosses several interfaces, such as those of a
// bridge or of a router, is there once for each; one over the loopback interface
// once, although it is sent and received there.
func Live(ifname string) (*LiveReader, error) {
	index, what := 0, "live capture"
	if ifname != "" {
		what = fmt.Sprintf("live capture on %s", ifname)
		device, err := net.InterfaceByName(ifname)
		if err != nil {
			return nil, unknownInterface(ifname, err)
		}
		index = device.Index
	}
	// Protocol 0: nothing is received before bind, which comes after the
	// filter.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("%s: %w: needs root or CAP_NET_RAW", what, err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return nil, fmt.Errorf("%s: %w: packet sockets are forbidden here (systemd: RestrictAddressFamilies must have AF_PACKET) "+
			"or not in this kernel (modprobe af_packet)", what, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if err := listen(fd, index); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	r := &LiveReader{
		what: what,
		file: os.NewFile(uintptr(fd), what),
		buf:  make([]byte, maxPacket),
		oob:  make([]byte, unix.CmsgSpace(binary.Size(unix.Timespec{}))),
	}
	if r.raw, err = r.file.SyscallConn(); err != nil {
		r.file.Close()
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return r, nil
}

func unknownInterface(name string, err error) error {
	all, listErr := net.Interfaces()
	if listErr != nil || slices.ContainsFunc(all, func(i net.Interface) bool { return i.Name == name }) {
		return fmt.Errorf("interface %q: %w", name, err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return fmt.Errorf("no interface %q: there are %s", name, strings.Join(names, ", "))
}

// listen makes the socket receive SYNs from an interface, 0 for all. See man 7
// packet.
func listen(fd, index int) error {
	program, err := bpf.Assemble(onlySYNs())
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(program))
	for i, op := range program {
		code[i] = unix.SockFilter{Code: op.Op, Jt: op.Jt, Jf: op.Jf, K: op.K}
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	if err != nil {
		return os.NewSyscallError("SO_ATTACH_FILTER", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("SO_TIMESTAMPNS", err)
	}
	// The second, without CAP_NET_ADMIN, is bounded by net.core.rmem_max. A
	// small buffer loses more, which Lost tells.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	// Outgoing packets come to sockets of all protocols alone.
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
}

// Next waits for the next SYN and returns it from its IP header on, and when
// the kernel saw it. The bytes are the caller's. After Close it returns io.EOF.
// Any other error ends the capture: that the interface went down, for example.
func (r *LiveReader) Next() (time.Time, []byte, error) {
	n, oobn, err := r.receive()
	switch {
	case r.closed.Load():
		return time.Time{}, nil, io.EOF
	case errors.Is(err, unix.ENETDOWN):
		return time.Time{}, nil, fmt.Errorf("%s: the interface is down", r.what)
	case err != nil:
		return time.Time{}, nil, fmt.Errorf("%s: %w", r.what, err)
	}
	return timestamp(r.oob[:oobn]), bytes.Clone(r.buf[:n]), nil
}

func (r *LiveReader) receive() (n, oobn int, err error) {
	waited := r.raw.Read(func(fd uintptr) (done bool) {
		for {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), r.buf, r.oob, 0)
			if !errors.Is(err, unix.EINTR) {
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	})
	if waited != nil {
		return 0, 0, waited
	}
	return n, oobn, err
}

// timestamp finds what SO_TIMESTAMPNS gives; without it the time is now.
func timestamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		var ts unix.Timespec
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_TIMESTAMPNS {
			continue
		}
		if _, err := binary.Decode(m.Data, binary.NativeEndian, &ts); err == nil {
			return time.Unix(ts.Unix())
		}
	}
	return time.Now()
}

// Lost is how many SYNs the kernel dropped since Live, because Next was called
// too seldom.
func (r *LiveReader) Lost() uint64 {
	// Fails when closed, and Close has counted.
	_ = r.raw.Control(func(fd uintptr) {
		// Reading sets the kernel's count back to 0.
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			r.lost.Add(uint64(stats.Drops))
		}
	})
	return r.lost.Load()
}

// Close ends a Next that waits, and returns once it has let go of the socket.
// It may be called more than once.
func (r *LiveReader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.Lost()
	return r.file.Close()
}

// onlySYNs is a filter for SOCK_DGRAM, where a packet begins with its IP
// header. The kernel takes a load beyond the end of the packet for a no.
func onlySYNs() []bpf.Instruction {
	const (
		partial = 0x3fff // "more fragments" and offset, of IPv4
		header6 = 40
	)
	four := slices.Concat(
		require(bpf.LoadExtension{Num: bpf.ExtProto}, bpf.JumpEqual, unix.ETH_P_IP),
		require(bpf.LoadAbsolute{Off: 9, Size: 1}, bpf.JumpEqual, unix.IPPROTO_TCP),
		require(bpf.LoadAbsolute{Off: 6, Size: 2}, bpf.JumpBitsNotSet, partial),
		[]bpf.Instruction{bpf.LoadMemShift{Off: 0}},
		synAtX(),
	)
	extension := oneExtension(header6)
	six := slices.Concat(
		[]bpf.Instruction{
			bpf.LoadConstant{Dst: bpf.RegX, Val: header6},
			bpf.LoadAbsolute{Off: 6, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: uint8(len(extension))},
		},
		extension,
		synAtX(),
	)
	return slices.Concat(
		// On the loopback interface, which is sent is received as well.
		[]bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ARPHRD_LOOPBACK, SkipTrue: 3},
		},
		require(bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpNotEqual, unix.PACKET_OUTGOING),
		[]bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtProto},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: uint8(len(four))},
		},
		four,
		six,
	)
}

// require passes over the packet unless what load gives compares so.
func require(load bpf.Instruction, cond bpf.JumpTest, val uint32) []bpf.Instruction {
	return []bpf.Instruction{load, bpf.JumpIf{Cond: cond, Val: val, SkipTrue: 1}, bpf.RetConstant{Val: 0}}
}

// synAtX decides about the TCP header at X.
func synAtX() []bpf.Instruction {
	const finSynRstAck, syn = 0x17, 0x02 // RFC 9293
	return []bpf.Instruction{
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: finSynRstAck},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: syn, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: maxPacket},
	}
}

// oneExtension sets X to the end of the IPv6 extension header at offset at, of
// the kind that is in A (RFC 8200), and passes over the packet if that is no
// such kind, a fragment of more, or if there is no TCP behind it.
func oneExtension(at uint32) []bpf.Instruction {
	const (
		partial = 0xfff9 // offset and "more fragments"
		unit    = 3      // lengths are in units of 8 bytes, less the first
	)
	fragment := slices.Concat(
		require(bpf.LoadAbsolute{Off: 6, Size: 1}, bpf.JumpEqual, unix.IPPROTO_FRAGMENT),
		require(bpf.LoadAbsolute{Off: at + 2, Size: 2}, bpf.JumpBitsNotSet, partial),
	)
	skip := uint8(len(fragment))
	return slices.Concat(
		[]bpf.Instruction{
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_HOPOPTS, SkipTrue: skip + 2},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ROUTING, SkipTrue: skip + 1},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_DSTOPTS, SkipTrue: skip},
		},
		fragment,
		require(bpf.LoadAbsolute{Off: at, Size: 1}, bpf.JumpEqual, unix.IPPROTO_TCP),
		// A fragment header has 0 in the place of the length, which fits.
		[]bpf.Instruction{
			bpf.LoadAbsolute{Off: at + 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: unit},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: at},
			bpf.TAX{},
		},
	)
}
