package blast

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Receive waits for a frame for which ok returns true, at most patience, and returns a copy.
func (s *Sender) Receive(patience time.Duration, ok func(frame []byte) bool) ([]byte, error) {
	deadline := time.Now().Add(patience)
	buf := make([]byte, 1<<16)
	for time.Now().Before(deadline) {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			time.Sleep(time.Millisecond)
		case err != nil:
			return nil, err
		case ok(buf[:n]):
			return append([]byte(nil), buf[:n]...), nil
		}
	}
	return nil, errors.New("no such frame came")
}

// Discard drops the frames received so far.
func (s *Sender) Discard() {
	var buf [1]byte
	for {
		if _, _, err := unix.Recvfrom(s.fd, buf[:], unix.MSG_DONTWAIT|unix.MSG_TRUNC); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
