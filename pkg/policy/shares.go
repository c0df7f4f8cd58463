package policy

import (
	"fmt"

	"nftknock/pkg/gate"
	"nftknock/pkg/wording"
)

const (
	// maxShare is the largest share of one access: more grants than people who knock
	// at the same time.
	maxShare = 16384
	// minShare is the least that an access with a key has, however many there are.
	minShare = 64
)

// Shares divides the room for grants among some accesses: how many elements each of
// them may have at once, of IPv4 and IPv6 each, by its name. Half of the room is for
// the accesses with shared sequences, at which somebody who has seen one can knock
// from any address; all of them together cannot use up more.
func Shares(accesses []*Access) map[string]int {
	shared := 0
	for _, a := range accesses {
		if a.Kind == KindShared {
			shared++
		}
	}
	const half = gate.MaxGrants / 2
	forShared := min(maxShare, half/max(1, shared))
	forKeyed := min(maxShare, max(minShare, half/max(1, len(accesses)-shared)))
	shares := make(map[string]int, len(accesses))
	for _, a := range accesses {
		shares[a.Name] = forKeyed
		if a.Kind == KindShared {
			shares[a.Name] = forShared
		}
	}
	return shares
}

// checkShares refuses an access that opens more services than it may have grants: a
// grant takes one element per service, so no knock could be granted all of them.
func checkShares(entries []entry) {
	var accesses []*Access
	for _, e := range entries {
		if e.active() {
			accesses = append(accesses, e.Access)
		}
	}
	// IPv4 and IPv6 have sets of their own, and a knock opens for one address.
	shares := Shares(accesses)
	for _, e := range entries {
		if share := shares[e.Name]; e.active() && len(e.Open) > share {
			e.table.fail(e.table.valueAt("open"),
				fmt.Sprintf("this access opens %d services, and among %s it may have %d grants, one per service",
					len(e.Open), wording.Count(len(accesses), "access", "accesses"), share),
				"want ranges of ports, each of which is one service, or fewer accesses")
		}
	}
}
