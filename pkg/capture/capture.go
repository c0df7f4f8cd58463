// Package capture reads IP packets from pcap and pcapng files (of Ethernet, raw IP,
// NFLOG and other link types), and TCP SYNs from the interfaces of the running host.
package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A Reader reads the packets of one capture in the order of the file. It is for one
// goroutine, except that any may call Progress.
type Reader struct {
	name   string
	packet int // number of packets read
	read   func() ([]byte, gopacket.CaptureInfo, error)
	link   func(gopacket.CaptureInfo) (layers.LinkType, error)
	count  *countingReader
	size   int64 // of the file, in bytes; 0 if not known
	close  func() error
}

// Open opens a capture file. The caller must close the Reader.
func Open(name string) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var size int64
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	r, err := NewReader(name, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.size, r.close = size, f.Close
	return r, nil
}

// NewReader reads a capture from rd. Errors begin with name.
func NewReader(name string, rd io.Reader) (*Reader, error) {
	r := &Reader{name: name, count: &countingReader{r: rd}, close: func() error { return nil }}
	buffered := bufio.NewReaderSize(r.count, 1<<16)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not a capture: shorter than a file header", name)
	}
	// The type of a pcapng section header block, 0x0A0D0D0A, is the same in either
	// byte order.
	if bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		err = r.openNG(buffered)
	} else {
		err = r.openClassic(buffered)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not a pcap or pcapng capture: %w", name, err)
	}
	return r, nil
}

func (r *Reader) openClassic(rd *bufio.Reader) error {
	magic, _ := rd.Peek(2)                           // Peek(4) succeeded before
	packed := bytes.Equal(magic, []byte{0x1f, 0x8b}) // gzip (RFC 1952, section 2.3.1)
	file := &countingReader{r: rd}
	c, err := pcapgo.NewReader(file)
	if err != nil {
		return err
	}
	// The lengths of the file's header and of a record's (draft-ietf-opsawg-pcap).
	const header, record = 24, 16
	used := int64(header)
	r.read = func() ([]byte, gopacket.CaptureInfo, error) {
		data, info, err := c.ReadPacketData()
		// gopacket returns io.EOF for a file that ends right after a record's header,
		// too. Then not all that was read is used.
		if errors.Is(err, io.EOF) && !packed && file.n.Load() != used {
			err = io.ErrUnexpectedEOF
		}
		used += record + int64(len(data))
		return data, info, err
	}
	r.link = func(gopacket.CaptureInfo) (layers.LinkType, error) { return c.LinkType(), nil }
	return nil
}

func (r *Reader) openNG(rd io.Reader) error {
	// The interfaces of one pcapng file may have different link types; without this
	// option gopacket skips packets whose type is not that of the first interface.
	c, err := pcapgo.NewNgReader(rd, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		return err
	}
	r.read = c.ReadPacketData
	r.link = func(ci gopacket.CaptureInfo) (layers.LinkType, error) {
		i, err := c.Interface(ci.InterfaceIndex)
		return i.LinkType, err
	}
	return nil
}

// ErrNotIP: the frame does not hold an IP packet, but ARP for example.
var ErrNotIP = errors.New("not an IP packet")

// Next returns the next packet from its IP header on, and the time of its capture.
// The caller may keep the bytes. After the last packet it returns io.EOF. After
// ErrNotIP the caller may call Next again; any other error ends the capture.
func (r *Reader) Next() (time.Time, []byte, error) {
	data, ci, err := r.read()
	switch {
	// A file that ends inside a packet gives io.ErrUnexpectedEOF.
	case errors.Is(err, io.EOF):
		return time.Time{}, nil, io.EOF
	case err != nil:
		return time.Time{}, nil, fmt.Errorf("%s: after packet %d: %w", r.name, r.packet, err)
	}
	r.packet++
	link, err := r.link(ci)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("%s: packet %d: %w", r.name, r.packet, err)
	}
	ip, err := network(link, data)
	if err != nil && !errors.Is(err, ErrNotIP) {
		return time.Time{}, nil, fmt.Errorf("%s: packet %d: %w", r.name, r.packet, err)
	}
	return ci.Timestamp, ip, err
}

// Packets returns the number of packets that Next has read, those that are not IP
// among them.
func (r *Reader) Packets() int { return r.packet }

// Progress returns which part of the file has been read, from 0 to 1, or false if
// the size of the file is not known. It may be called from any goroutine.
func (r *Reader) Progress() (float64, bool) {
	if r.size == 0 {
		return 0, false
	}
	return float64(r.count.n.Load()) / float64(r.size), true
}

// Close closes the file.
func (r *Reader) Close() error { return r.close() }

type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
