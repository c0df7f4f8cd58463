package policy

import "nftknock/pkg/totp"

const maxAttempts = 1000

// readTOTP reads the keys of a one-time knock.
func readTOTP(t *table, a *Access) {
	integer(t, "port_base", &a.PortBase, bounds{1, totp.MaxBase})
	readProtocol(t, a)
	t.duration("within", &a.Within, minWithin, maxWithin)
	readOS(t, a)
	checkSYN(t, a)
	integer(t, "max_attempts", &a.MaxAttempts, bounds{1, maxAttempts})
	parsed(t, "algorithm", &a.Algorithm, totp.ParseAlgorithm)
	readKey(t, a)
}
