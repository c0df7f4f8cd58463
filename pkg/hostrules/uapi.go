package hostrules

import "golang.org/x/sys/unix"

// Numbers of include/uapi/linux/netfilter/nf_tables.h that package unix does not have, or
// has under another name. Comments name the enum.

// nft_table_attributes, nft_table_flags.
const (
	tableName, tableFlags = 1, 2
	tableFlagOwner        = 2
)

// nft_chain_attributes, nft_hook_attributes, nft_devices_attributes.
const (
	chainTable, chainName, chainHook, chainPolicy, chainType = 1, 3, 4, 5, 7
	hookNumber, hookPriority, hookDevice, hookDevices        = 1, 2, 3, 4
)

// nft_rule_attributes, nft_list_attributes, nft_expr_attributes.
const (
	ruleTable, ruleChain, ruleHandle, ruleExpressions = 1, 2, 3, 4
	exprName, exprData                                = 1, 2
)

// nft_set_attributes, nft_set_desc_attributes, nft_set_field_attributes, nft_set_flags.
const (
	setTable, setName, setFlags, setDesc = 1, 2, 3, 9
	descConcat, fieldLen                 = 2, 1
	setAnonymous, setInterval            = 1, 4
)

// nft_set_elem_list_attributes, nft_set_elem_attributes, nft_set_elem_flags.
const (
	listTable, listSet, listElements         = 1, 2, 3
	elemKey, elemData, elemFlags, elemKeyEnd = 1, 2, 3, 10
	elemIntervalEnd, elemCatchAll            = 1, 2
	dataValue, dataVerdict                   = 1, 2 // nft_data_attributes
	verdictCode, verdictChain                = 1, 2 // nft_verdict_attributes
	codeContinue, codeBreak, codeJump        = -1, -2, -3
	codeGoto, codeReturn                     = -4, -5
	codeDrop, codeAccept                     = 0, 1 // linux/netfilter.h
)

// Message types (nf_tables_msg_types).
const (
	msgTable   = 1  // GETTABLE; NEWTABLE is one less
	msgChain   = 4  // GETCHAIN
	msgRule    = 7  // GETRULE
	msgSet     = 10 // GETSET
	msgElement = 13 // GETSETELEM
	msgGen     = 16 // GETGEN
)

// States of a connection as `ct state` gives them (NF_CT_STATE_BIT,
// nf_conntrack_common.h).
const (
	stateInvalid   = 1
	stateNew       = 8
	stateUntracked = 64
	statusDNAT     = 0x20 // IPS_DST_NAT
)

// Route types (linux/rtnetlink.h), as `fib type` gives them.
const (
	routeUnicast = unix.RTN_UNICAST
	routeLocal   = unix.RTN_LOCAL
)
