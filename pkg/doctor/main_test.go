package doctor

import (
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"nftknock/test/netns/netnstest"
)

// xdpProgram is the descriptor of an XDP program, -1 where none can be loaded. That takes
// root outside of the test's user namespace: the first process loads it, and the second
// inherits it.
var xdpProgram = -1

const xdpVariable = "NFTKNOCK_TEST_XDP"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(xdpVariable)); err == nil {
		xdpProgram = n
	} else if n, err := loadXDP(); err == nil {
		os.Setenv(xdpVariable, strconv.Itoa(n))
	}
	netnstest.Main(m)
}

// loadXDP loads a program that drops all packets: r0 = XDP_DROP; exit. Its descriptor
// stays open when another program is executed.
func loadXDP() (int, error) {
	const progLoad, typeXDP = 5, 6 // BPF_PROG_LOAD, BPF_PROG_TYPE_XDP (linux/bpf.h)
	code := []byte{0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}
	license := []byte("GPL\x00")
	var attr [128]byte
	binary.NativeEndian.PutUint32(attr[0:], typeXDP)
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(code)/8))
	binary.NativeEndian.PutUint64(attr[8:], uint64(uintptr(unsafe.Pointer(&code[0]))))
	binary.NativeEndian.PutUint64(attr[16:], uint64(uintptr(unsafe.Pointer(&license[0]))))
	fd, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(unsafe.Pointer(&attr)), uintptr(len(attr)))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	if errno != 0 {
		return -1, errno
	}
	_, err := unix.FcntlInt(fd, unix.F_SETFD, 0)
	return int(fd), err
}
