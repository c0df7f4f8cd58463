//go:build linux

package fingerprint

import "nftknock/pkg/capture"

// OpenLive captures the SYNs that this host sends and receives over an interface,
// or with "" over all; see capture.Live. There are more until Close is called,
// from any goroutine.
func OpenLive(ifname string) (*Input, error) {
	live, err := capture.Live(ifname)
	if err != nil {
		return nil, err
	}
	return &Input{liveSource{FromPackets(live), live}, "live", unknownProgress, live.Close}, nil
}

// liveSource adds what the kernel dropped to what was skipped.
type liveSource struct {
	Source
	live *capture.LiveReader
}

func (s liveSource) Skipped() Skipped {
	skipped := s.Source.Skipped()
	skipped.Lost = int(s.live.Lost())
	return skipped
}
