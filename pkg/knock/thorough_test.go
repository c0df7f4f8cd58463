package knock_test

import "os"

// thorough gives all, the number of seeds or rounds that a guarantee is tested with,
// if NFTKNOCK_THOROUGH=1, and else few, which take about a third of the time.
func thorough(all, few int) int {
	if os.Getenv("NFTKNOCK_THOROUGH") == "1" {
		return all
	}
	return few
}
