package nflog

// Message types of the subsystem (include/uapi/linux/netfilter/nfnetlink_log.h,
// enum nfulnl_msg_types).
const (
	msgPacket = 0 // NFULNL_MSG_PACKET
	msgConfig = 1 // NFULNL_MSG_CONFIG
)

// Attributes of a packet (enum nfulnl_attr_type, same header).
const (
	attrTimestamp = 3  // NFULA_TIMESTAMP
	attrInDevice  = 4  // NFULA_IFINDEX_INDEV
	attrPayload   = 9  // NFULA_PAYLOAD
	attrSeq       = 12 // NFULA_SEQ
)

// Attributes of a configuration (enum nfulnl_attr_config, same header).
const (
	cfgCommand    = 1 // NFULA_CFG_CMD
	cfgMode       = 2 // NFULA_CFG_MODE
	cfgBufferSize = 3 // NFULA_CFG_NLBUFSIZ
	cfgTimeout    = 4 // NFULA_CFG_TIMEOUT
	cfgThreshold  = 5 // NFULA_CFG_QTHRESH
	cfgFlags      = 6 // NFULA_CFG_FLAGS
)

// commandBind is NFULNL_CFG_CMD_BIND (enum nfulnl_msg_config_cmds, same header).
const commandBind = 1

// genHeaderLen is the size of struct nfgenmsg
// (include/uapi/linux/netfilter/nfnetlink.h): family, version, and in network byte
// order the resource id, which here is the group.
const genHeaderLen = 4

// attrTypeMask is NLA_TYPE_MASK (include/uapi/linux/netlink.h).
const attrTypeMask = 0x3fff
