package fingerprint

import (
	"io"
	"os"

	"nftknock/pkg/capture"
)

// Input is a Source of a capture, a log or this host.
type Input struct {
	Source
	// Name is what messages call it.
	Name string
	// Progress tells how much has been read, from 0 to 1, or false where that is
	// not known. It may be called from any goroutine.
	Progress func() (float64, bool)
	// Close ends Next and frees what the input holds.
	Close func() error
}

// standardInput is the Name of what is read from "-".
const standardInput = "standard input"

func unknownProgress() (float64, bool) { return 0, false }

// OpenCapture opens a pcap or pcapng file; "-" is stdin.
func OpenCapture(name string, stdin io.Reader) (*Input, error) {
	if name == "-" {
		c, err := capture.NewReader(standardInput, stdin)
		if err != nil {
			return nil, err
		}
		return &Input{FromPackets(c), standardInput, unknownProgress, c.Close}, nil
	}
	c, err := capture.Open(name)
	if err != nil {
		return nil, err
	}
	return &Input{FromPackets(c), name, c.Progress, c.Close}, nil
}

// OpenLog opens a file of kernel log lines; "-" is stdin.
func OpenLog(name string, stdin io.Reader) (*Input, error) {
	if name == "-" {
		return &Input{FromLog(standardInput, stdin), standardInput, unknownProgress, func() error { return nil }}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &Input{FromLog(name, f), name, fileProgress(f), f.Close}, nil
}

// fileProgress tells how much of a file has been read.
func fileProgress(f *os.File) func() (float64, bool) {
	return func() (float64, bool) {
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			return 0, false
		}
		at, err := f.Seek(0, io.SeekCurrent)
		return float64(at) / float64(info.Size()), err == nil
	}
}
