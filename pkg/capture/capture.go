// Package capture reads IP packets: out of pcap and pcapng files, as tcpdump,
// Wireshark and the kernel's own NFLOG capture write them, and the SYNs among
// those of the running host.
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

// Reader gives the packets of one capture in the order of the file. It
// belongs to one goroutine, but for Progress.
type Reader struct {
	name   string
	packet int
	read   func() ([]byte, gopacket.CaptureInfo, error)
	link   func(gopacket.CaptureInfo) (layers.LinkType, error)
	count  *countingReader
	size   int64
	close  func() error
}

// Open opens a capture file.
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

// NewReader reads a capture from rd. The name stands in errors.
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
	if bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) { // section header block
		err = r.openNG(buffered)
	} else {
		err = r.openClassic(buffered)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not a pcap or pcapng capture: %w", name, err)
	}
	return r, nil
}

func (r *Reader) openClassic(rd io.Reader) error {
	c, err := pcapgo.NewReader(rd)
	if err != nil {
		return err
	}
	r.read = c.ReadPacketData
	r.link = func(gopacket.CaptureInfo) (layers.LinkType, error) { return c.LinkType(), nil }
	return nil
}

func (r *Reader) openNG(rd io.Reader) error {
	// Sections may hold interfaces of different link types.
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

// ErrNotIP: the frame holds something else, ARP for example.
var ErrNotIP = errors.New("not an IP packet")

// Next returns the next packet from its IP header on, and when it was
// captured. After the last one it returns io.EOF. On ErrNotIP the caller may
// go on; any other error ends the capture.
func (r *Reader) Next() (time.Time, []byte, error) {
	data, ci, err := r.read()
	switch {
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
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

// Packets is how many packets Next has read.
func (r *Reader) Packets() int { return r.packet }

// Progress tells how far the file has been read, from 0 to 1, or false where
// its size is not known. It may be called from any goroutine.
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
