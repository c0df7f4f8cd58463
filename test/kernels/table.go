package main

// kernel is a series of kernels with packages in Debian.
type kernel struct {
	series string
	// env says which features this kernel has. A test fails if the kernel differs; see
	// netnstest.KernelHas.
	env []string
}

var kernels = []kernel{
	{"6.1", []string{"NFTKNOCK_KERNEL_HAS_VRF=yes", "NFTKNOCK_KERNEL_HAS_OWNER=no"}},
	{"6.12", []string{"NFTKNOCK_KERNEL_HAS_VRF=yes", "NFTKNOCK_KERNEL_HAS_OWNER=yes"}},
}

// suites are the tests that run in each machine, besides the demo. Each pattern is a regular
// expression, and at least one test that matches it must run and pass. Floods and benchmarks
// are left out, because an emulated processor is too slow for them.
var suites = []struct {
	pkg      string
	patterns []string
}{
	{"pkg/gate", []string{
		"^TestGate$",
		"^TestOwnershipIsTakenWhereTheKernelHasIt$",
		"^TestOwnershipOrRepairOutlivesAFlush$",
		"^TestVRF$",
		"^TestDoorOpensAndClosesByItself$",
		"^TestRevokedDoorIsClosed$",
		"^TestRangeIsHiddenAndGranted$",
		"^TestGrantIsForOneSourceAndProtocol$",
		"^TestRejectedPortsLookClosed$",
		"^TestLoopbackAndOtherInterfacesAreUntouched$",
		"^TestForwardedTrafficIsUntouched$",
		"^TestLinkLocalAddressesAreProtectedToo$",
		"^TestConnectionOutlivesItsGrant$",
		"^TestAnswersToTheServerPass$",
		"^TestBroadcastAndMulticastAreHiddenToo$",
		"^TestAFlushedTableComesBackWithItsGrants$",
		"^TestMeddlingIsUndone$",
		"^TestWhatOthersMayDo$",
		"^TestRejectedPortsDifferFromClosedOnesInThis$",
		"^TestASYNOnAnEndedConnectionNeedsAGrant$",
		"^TestNoFlagsOfTCPGetAnAnswerFromAHiddenPort$",
		"^TestOnlyWhatTheHostSentToMayAnswer$",
		"^TestAddressesOfOtherRoutingTablesAreHiddenToo$",
		"^TestAFlowOfAGapIsShutOut$",
		"^TestExistingConnectionsGoOn$",
		"^TestAdmittedConnectionsGoOnAfterTheirGrant$",
		"^TestTheFirstConnectionUsesAGrantUp$",
		"^TestAPublishedPortIsHiddenByTheDialledPort$",
		"^TestCutEndsAdmittedTCP$",
		"^TestStoriesThatDiffered$",
	}},
	{"pkg/nflog", []string{
		"^TestContract$",
		"^TestPacketsAreCutAtTheCopyRange$",
		"^TestReceiveBuffer$",
		"^TestDatagramsOfOtherProcessesAreRefused$",
		"^TestCloseFreesTheGroups$",
		"^TestGroupTaken",
		"^TestPermissionMissing$",
	}},
}

// modules are the modules that the tests use; their dependencies are added. The machine
// cannot load others later.
var modules = []string{
	"nf_tables", "nft_ct", "nft_fib_inet", "nft_hash", "nft_limit", "nft_log", "nft_numgen", "nft_reject_inet", "nft_socket",
	"nf_conntrack", "nf_conntrack_netlink", "nfnetlink_log", "nf_nat", "nft_chain_nat", "nft_nat", "nft_masq", "nft_redir", "tcp_diag", "inet_diag",
	"dummy", "veth", "vrf",
}
