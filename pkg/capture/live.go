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

// A LiveReader reads the TCP SYNs that the running host sends and receives. One
// goroutine at a time may call Next; any may call Lost and Close.
type LiveReader struct {
	what string // with which errors begin
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	oob  []byte

	lost   atomic.Uint64
	closed atomic.Bool
}

const (
	// maxPacket is larger than any IP packet that is not a jumbogram, in bytes.
	maxPacket = 1 << 16
	// receiveBuffer is the size of the receive buffer in bytes. Some thousand SYNs
	// fit.
	receiveBuffer = 4 << 20
)

// Live opens a LiveReader for the interface with a name, or with "" for all present
// and future interfaces, in the network namespace of the calling thread. It needs
// CAP_NET_RAW in the user namespace that owns the network namespace.
//
// The LiveReader returns the packets for which packet.Packet.PureSYN is true, over
// IPv4, and over IPv6 with at most one extension header, but no fragments. A filter
// in the kernel drops all other packets, which are not copied to the reader. A packet
// that passes several interfaces, such as those of a bridge or of a router, is
// returned once per interface; one on the loopback interface once, although it is both
// sent and received there.
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
	// With protocol 0 the socket receives nothing until bind sets one (man 7
	// packet), which happens after the filter is attached.
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

// listen attaches the filter and binds the socket to the interface with an index, or
// to all with 0. See man 7 packet.
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
	// SO_RCVBUFFORCE needs CAP_NET_ADMIN; SO_RCVBUF is limited to net.core.rmem_max
	// instead. An error is ignored: with a small buffer more SYNs are lost, and Lost
	// counts them.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	// Outgoing packets are delivered to sockets of ETH_P_ALL only. The field is a
	// __be16 (struct sockaddr_ll).
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
}

// Next waits for the next SYN and returns it from its IP header on, and the time when
// the kernel received or sent it. The caller may keep the bytes. After Close it
// returns io.EOF. Any other error ends the capture, such as that the interface is
// down.
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

// timestamp returns the time in a control message of SO_TIMESTAMPNS, or the present
// time if there is none.
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

// Lost returns the number of SYNs that the kernel dropped since Live because the
// receive buffer was full.
func (r *LiveReader) Lost() uint64 {
	// Control fails when the socket is closed; Close has read the count before.
	_ = r.raw.Control(func(fd uintptr) {
		// Reading PACKET_STATISTICS resets the count in the kernel.
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			r.lost.Add(uint64(stats.Drops))
		}
	})
	return r.lost.Load()
}

// Close interrupts a Next that waits, and returns after the socket is closed. It may
// be called more than once.
func (r *LiveReader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.Lost()
	return r.file.Close()
}

// onlySYNs returns a filter for a packet socket of type SOCK_DGRAM, where offset 0 is
// the IP header. The kernel rejects a packet when the filter loads from beyond its
// end.
func onlySYNs() []bpf.Instruction {
	const (
		partial = 0x3fff // "more fragments" and offset, of IPv4
		header6 = 40
	)
	// LoadMemShift sets X to the length of the IPv4 header, IHL times 4.
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
			// Without an extension header X is right already.
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: uint8(len(extension))},
		},
		extension,
		synAtX(),
	)
	return slices.Concat(
		// On the loopback interface each packet passes twice, as outgoing and as
		// incoming: the first is rejected.
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

// require rejects the packet unless the comparison of the loaded value with val holds.
func require(load bpf.Instruction, cond bpf.JumpTest, val uint32) []bpf.Instruction {
	return []bpf.Instruction{load, bpf.JumpIf{Cond: cond, Val: val, SkipTrue: 1}, bpf.RetConstant{Val: 0}}
}

// synAtX accepts the packet if the TCP header at offset X is a SYN without ACK, RST and
// FIN, and else rejects it.
func synAtX() []bpf.Instruction {
	const finSynRstAck, syn = 0x17, 0x02 // RFC 9293, section 3.1
	return []bpf.Instruction{
		bpf.LoadIndirect{Off: 13, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: finSynRstAck},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: syn, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: maxPacket},
	}
}

// oneExtension sets X to the end of the IPv6 extension header at offset at, whose kind
// is in A. It rejects the packet if A is not the kind of an extension header (RFC
// 8200), if the packet is one of several fragments, or if TCP does not follow.
func oneExtension(at uint32) []bpf.Instruction {
	const (
		partial = 0xfff9 // offset and "more fragments"
		unit    = 3      // 1<<unit is 8: lengths count units of 8 bytes, without the first
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
		// A fragment header has a reserved byte of 0 in the place of the length,
		// which stands for its 8 bytes.
		[]bpf.Instruction{
			bpf.LoadAbsolute{Off: at + 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: unit},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: at},
			bpf.TAX{},
		},
	)
}
