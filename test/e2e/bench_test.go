package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/test/lab"
)

// BenchmarkKnockToOpen measures from the last packet of a knock to the first
// connection that is accepted, in two network namespaces joined by veth. The
// client begins a new connection every 50 µs, because TCP repeats a dropped SYN only after
// a second.
func BenchmarkKnockToOpen(b *testing.B) {
	s := newStage(b, 1)
	// A client's knock counts again for the same access when the grant has ended, which
	// lasts a second: so the accesses take turns.
	const accesses = 6
	var policy string
	for i := range accesses {
		policy += access(fmt.Sprint("ssh", i), fmt.Sprintf("udp/%d udp/%d udp/%d", 9700+i, 6020+i, 9680+i), "1s")
	}
	s.start(policy)
	c := s.Clients[0]
	var total time.Duration
	for turn := 0; b.Loop(); turn++ {
		i := turn % accesses
		b.StopTimer()
		for len(s.grantedIn("nftknock")) > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		err := c.Do(func() error {
			knock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(knock)
			if err := errors.Join(
				unix.Sendto(knock, []byte{0}, 0, inet4(lab.Server4, 9700+i)),
				unix.Sendto(knock, []byte{0}, 0, inet4(lab.Server4, 6020+i)),
			); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
			b.StartTimer()
			start := time.Now()
			if err := unix.Sendto(knock, []byte{0}, 0, inet4(lab.Server4, 9680+i)); err != nil {
				return err
			}
			err = connectSoon(inet4(lab.Server4, 22))
			total += time.Since(start)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs/knock")
}

func inet4(addr netip.Addr, port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: addr.As4(), Port: port}
}

// connectSoon begins up to 10,000 connections until one is established.
func connectSoon(to unix.Sockaddr) error {
	var polls []unix.PollFd
	defer func() {
		for _, p := range polls {
			unix.Close(int(p.Fd))
		}
	}()
	for range 10_000 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		polls = append(polls, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT})
		if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
			return err
		}
		if n, err := unix.Ppoll(polls, &unix.Timespec{Nsec: 50_000}, nil); n > 0 || err != nil && err != unix.EINTR {
			return err
		}
		if len(polls) > 200 {
			unix.Close(int(polls[0].Fd))
			polls = polls[1:]
		}
	}
	return unix.ETIMEDOUT
}
