package main

// kernel is one that Debian has packages of.
type kernel struct {
	series string
	// env tells the tests what this kernel can. They ask the kernel and fail
	// where it says something else.
	env []string
}

var kernels = []kernel{
	{"6.1", []string{"NFTKNOCK_KERNEL_HAS_VRF=yes", "NFTKNOCK_KERNEL_HAS_OWNER=no"}},
	{"6.12", []string{"NFTKNOCK_KERNEL_HAS_VRF=yes", "NFTKNOCK_KERNEL_HAS_OWNER=yes"}},
}

// suites are the tests that run in each machine, besides the demo. Each
// pattern is a regular expression of its own, and at least one test has to run
// and pass under it. Floods and benchmarks are not for an emulated processor.
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
		"^TestReceiveBufferIsToldAsGot$",
		"^TestDatagramsOfOtherProcessesAreRefused$",
		"^TestCloseFreesTheGroups$",
		"^TestGroupTaken",
		"^TestPermissionMissing$",
	}},
}

// modules are what the tests use, but for what these depend on. Whatever is
// missing in a machine cannot be loaded there later.
var modules = []string{
	"nf_tables", "nft_ct", "nft_fib_inet", "nft_hash", "nft_limit", "nft_log", "nft_numgen", "nft_reject_inet", "nft_socket",
	"nf_conntrack", "nf_conntrack_netlink", "nfnetlink_log", "nf_nat", "nft_chain_nat", "nft_nat", "nft_redir", "tcp_diag", "inet_diag",
	"dummy", "veth", "vrf",
}
