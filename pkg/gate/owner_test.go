package gate

import (
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/test/netns/netnstest"
)

// kernelOwns asks the kernel whether it keeps tables owned.
func kernelOwns(t *testing.T) bool {
	t.Helper()
	return netnstest.KernelHas(t, "OWNER", func() error {
		c, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return err
		}
		defer c.CloseLasting()
		c.AddTable(&nftables.Table{
			Name: "asking", Family: nftables.TableFamilyINet,
			Flags: nftables.TableFlagOwner | nftables.TableFlagPersist,
		})
		return c.Flush()
	})
}

func TestOwnershipIsTakenWhereTheKernelHasIt(t *testing.T) {
	can := kernelOwns(t)
	for _, tt := range []struct {
		name string
		mode OwnerMode
		want bool
	}{{"auto", OwnerAuto, can}, {"on", OwnerOn, can}, {"off", OwnerOff, false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := open(t, netnstest.New(t), Config{Owner: tt.mode})
			err := k.Apply(&Ruleset{Protected: services("tcp/22")})
			if tt.mode == OwnerOn && !can {
				wantError(t, err, errCannotOwn)
				_, err := k.Grants()
				wantError(t, err, ErrNoTable)
			} else if err != nil {
				t.Fatal(err)
			}
			if k.Owned() != tt.want {
				t.Errorf("owned: %v, want %v", k.Owned(), tt.want)
			}
		})
	}
}

// A grant outlives a flush of everything. Where the kernel keeps the table
// owned, there is nothing to repair, and the watcher has nothing to tell.
func TestOwnershipOrRepairOutlivesAFlush(t *testing.T) {
	can := kernelOwns(t)
	l := newLab(t, Config{Owner: OwnerAuto})
	l.serve(":22")
	l.serve(":23")
	apply(t, l.gate, &Ruleset{Protected: services("tcp/22-23")})
	grant(t, l.gate, Grant{Source: from(client4), Service: service("tcp/22"), Timeout: time.Minute})
	conn := stranger(t, l.server)
	conn.FlushRuleset()
	flush(t, conn)
	if can {
		quiet(t, l.gate)
	} else {
		awaitChange(t, l.gate)
	}
	repair(t, l.gate, !can)
	l.want(l.client, server4+":22", isOpen)
	l.want(l.client, server4+":23", isFiltered)
}
