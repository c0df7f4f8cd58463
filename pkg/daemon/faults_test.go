package daemon_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/nflog"
)

// errnos are those that nf_tables and netlink answer with (net/netfilter/nf_tables_api.c,
// nfnetlink.c, net/netlink/af_netlink.c, and what send and receive add).
var errnos = []syscall.Errno{
	syscall.EPERM, syscall.EACCES, syscall.ENOENT, syscall.EINTR, syscall.EIO, syscall.E2BIG, syscall.EAGAIN,
	syscall.ENOMEM, syscall.EBUSY, syscall.EEXIST, syscall.ENODEV, syscall.EINVAL, syscall.ENFILE, syscall.EMFILE,
	syscall.ENOSPC, syscall.ERANGE, syscall.ELOOP, syscall.EPROTO, syscall.EOVERFLOW, syscall.EMSGSIZE,
	syscall.EOPNOTSUPP, syscall.ENETDOWN, syscall.ENOBUFS, syscall.ECONNREFUSED, syscall.EMLINK, syscall.ESRCH,
}

// Whatever the kernel answers, the daemon goes on, opens nothing, says so once for each knock
// and once for the table, and works again when the kernel does.
func TestEveryErrorOfNetlink(t *testing.T) {
	for _, errno := range errnos {
		t.Run(strings.ReplaceAll(errno.Error(), " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := start(t, ssh)
			r.gate.fail(fmt.Errorf("netlink: %w", errno))
			r.knock(10, 7300, 7100, 7200)
			r.log.await(t, "cannot grant 192.0.2.10 access to tcp/22: ")
			if err := r.reload(strings.Replace(ssh, "30s", "9s", 1)); err == nil {
				t.Error("a reload whose table could not be written succeeded")
			}
			r.gate.Flush()
			r.log.await(t, "services may be open to everyone: cannot restore table inet nftknock")
			if n := len(r.grants()); n != 0 {
				t.Errorf("%d grants", n)
			}
			time.Sleep(1200 * time.Millisecond) // long enough for another attempt to repair
			r.gate.fail(nil)
			r.log.await(t, "was changed by another process and is restored")
			if n := strings.Count(r.log.String(), "cannot restore"); n != 1 {
				t.Errorf("told %d times:\n%s", n, &r.log)
			}
			r.knock(11, 7300, 7100, 7200)
			r.log.await(t, "granted 192.0.2.11 access to tcp/22 for 30s")
			if err := r.reload(ssh); err != nil {
				t.Errorf("reload: %v", err)
			}
			if err := r.stop(); err != nil {
				t.Errorf("the daemon ended with %v", err)
			}
		})
	}
}

// grants returns what the gate holds.
func (r *rig) grants() []string {
	r.Helper()
	list, err := r.gate.Fake.Grants()
	if err != nil {
		return nil // there is no table
	}
	var all []string
	for _, g := range list {
		all = append(all, g.Source.String())
	}
	return all
}

// The same for the requests that list and end grants.
func TestEveryErrorOfListingAndRevoking(t *testing.T) {
	for _, errno := range errnos {
		t.Run(strings.ReplaceAll(errno.Error(), " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := start(t, ssh)
			r.knock(10, 7300, 7100, 7200)
			r.log.await(t, "granted 192.0.2.10")
			all := control.Revocation{Source: netip.MustParsePrefix("192.0.2.10/32"), Service: "tcp/22"}
			r.gate.failOnce("revoke", errno)
			if _, err := r.daemon.Revoke(context.Background(), all); err == nil || !strings.Contains(err.Error(), errno.Error()) {
				t.Errorf("revoke: %v; want the error of the kernel", err)
			}
			if n := len(r.grants()); n != 1 {
				t.Errorf("%d grants, want that which could not be revoked", n)
			}
			// A reload that ends the grant fails to list it, and tries again.
			r.gate.failOnce("list", errno)
			if err := r.reload(strings.Replace(ssh, "tcp/22", "tcp/23", 1)); err != nil {
				t.Fatal(err)
			}
			r.log.await(t, "cannot end grants that the policy no longer allows")
			r.log.await(t, "access of 192.0.2.10 to tcp/22 ended: ")
			if n := len(r.grants()); n != 0 {
				t.Errorf("%d grants after the second attempt", n)
			}
			if err := r.stop(); err != nil {
				t.Errorf("the daemon ended with %v", err)
			}
		})
	}
}

// A receive buffer that was full (ENOBUFS) costs the packets that are lost, which are told
// once with their number, and nothing else.
func TestAnOverrun(t *testing.T) {
	t.Parallel()
	r := start(t, ssh)
	r.knock(10, 7300)
	r.source.Overrun()
	r.source.Lose(5, 40)
	r.knock(10, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10")
	r.log.await(t, "40 packets lost: ")
	r.knock(11, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.11")
}

// The clock of the host is set an hour back or ahead in the middle of a knock, and while a
// grant runs. Grants end by the kernel's clock, which nobody sets; a knock is never taken
// for faster or for another than it was, and the next one counts.
func TestAClockThatIsSet(t *testing.T) {
	for name, step := range map[string]time.Duration{"ahead": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, strings.Replace(ssh, `"30s"`, `"1s"`, 1)+"min_interval = \"1ms\"\nwithin = \"10s\"\n")
			clock := wallClock(0)
			r.knockAt(clock, 10, 7300, 7100)
			r.knockAt(clock+wallClock(step), 10, 7200)
			r.knockAt(clock+wallClock(step), 11, 7300, 7100, 7200)
			r.log.await(t, "granted 192.0.2.11 access to tcp/22 for 1s")
			if strings.Contains(r.log.String(), "granted 192.0.2.10") {
				t.Errorf("a knock of an hour was granted:\n%s", &r.log)
			}
			r.log.await(t, "access of 192.0.2.11 to tcp/22 ended, 1s timeout exceeded")
			// Back again: the source whose knock was torn knocks anew.
			r.knockAt(clock, 10, 7300, 7100, 7200)
			r.log.await(t, "granted 192.0.2.10")
		})
	}
}

// wallClock is how far a clock is from the true time.
type wallClock time.Duration

// knockAt knocks by a clock, with 10 ms between two packets.
func (r *rig) knockAt(clock wallClock, host byte, ports ...uint16) {
	for i, port := range ports {
		at := time.Now().Round(0).Add(time.Duration(clock) + time.Duration(i)*10*time.Millisecond)
		r.source.Log(nflog.Record{Group: 5, Time: at, Payload: datagram(host, port)})
	}
}
