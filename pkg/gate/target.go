package gate

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ErrTarget: a set of another table cannot take grants.
var ErrTarget = errors.New("cannot take grants")

// A targetID tells a set from another of the same name that was made in its place: the
// handles of its table and of the set in the table.
type targetID struct {
	table tableHandle
	set   uint64
}

// A target is a set of another table, made by others for our grants.
type target struct {
	id   targetID
	name SetName
	key  grantKey
	size uint32 // 0 for no bound
}

// theirElement is an element of a target. It may be ours or others'.
type theirElement struct {
	timed   bool // it ends by itself
	left    time.Duration
	comment string
}

// targetForm is what the kernel says of a set.
type targetForm struct {
	id           targetID
	flags        uint32
	keyType      uint32 // as nft numbers types; 0 where another program left it out
	size         uint32
	ownedByOther bool // its table is another process's alone
}

// Flags of sets (enum nft_set_flags, linux/netfilter/nf_tables.h).
const (
	flagConstant = unix.NFT_SET_CONSTANT
	flagInterval = unix.NFT_SET_INTERVAL
	flagMap      = unix.NFT_SET_MAP | unix.NFT_SET_OBJECT
	flagTimeout  = unix.NFT_SET_TIMEOUT
)

// newTarget returns the set as a target for grants to addresses of a family, or why it
// cannot be one.
func newTarget(n SetName, form targetForm, f family) (target, error) {
	unfit := func(problem, hint string) (target, error) {
		return target{}, fmt.Errorf("set %s %w: %s (%s)", n, ErrTarget, problem, hint)
	}
	const define = "change its definition in your firewall"
	switch {
	case form.ownedByOther:
		return unfit("its table is owned by another process, and only that can change its sets", "use a set of another table")
	case form.flags&flagMap != 0:
		return unfit("it is a map", "want a set; "+define)
	case form.flags&flagConstant != 0:
		return unfit("it is constant", define)
	case form.flags&flagTimeout == 0:
		return unfit(`it lacks "flags timeout", without which no grant would end`, define)
	case form.flags&flagInterval != 0:
		return unfit(`it has "flags interval", so that a grant and a prefix of yours around it would exclude each other`, "use a set of its own for grants")
	}
	key, ok := readGrantKey(form.keyType)
	if !ok || key.family != f {
		a := f.address.Name
		return unfit("its type is none for grants over "+f.title(),
			fmt.Sprintf(`want "type %s", "type %s . inet_service" or "type %s . inet_proto . inet_service"`, a, a, a))
	}
	return target{id: form.id, name: n, key: key, size: form.size}, nil
}

// errNoTarget is the error for a set that is not there.
func errNoTarget(n SetName) error {
	return fmt.Errorf("set %s %w: it is not there (load the firewall that defines it)", n, ErrTarget)
}

// netlink is the set as the netlink library knows it, for changes of its elements.
func (t target) netlink() *nftables.Set {
	// Without HasTimeout the library leaves out the elements' timeouts.
	return &nftables.Set{Table: t.name.table().netlink(0), Name: t.name.Name, KeyType: t.key.fields().datatype(), HasTimeout: true}
}

// keys are those of the elements that a grant needs.
func (t target) keys(e element) []string {
	if !t.key.port {
		return []string{string(t.key.encode(e.source.Addr(), e.service))}
	}
	keys := make([]string, e.service.Ports())
	for n := range keys {
		keys[n] = string(t.key.encode(e.source.Addr(), e.service.At(n)))
	}
	return keys
}
