package nflog

import (
	"encoding/binary"
	"errors"
	"fmt"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// request returns a message to the log subsystem about one group.
func request(kind netlink.HeaderType, flags netlink.HeaderFlags, group uint16, attrs func(*netlink.AttributeEncoder)) netlink.Message {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian // nfulnl_recv_config reads integers with ntohl and ntohs
	attrs(ae)
	body, err := ae.Encode()
	if err != nil {
		panic("nflog: attributes of a request: " + err.Error())
	}
	data := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, group)
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | flags},
		Data:   append(data, body...),
	}
}

// bindRequest returns the request that binds the group and configures it, in one
// message, as nfulnl_recv_config allows. With several messages the kernel's defaults
// would apply in between, and they delay a packet by up to a second.
//
// NFULNL_CFG_CMD_PF_BIND is not sent: log statements with a group do not need it, and
// it would make NFLOG the default logger of a protocol family (nf_log_bind_pf).
func (c Config) bindRequest(group uint16) netlink.Message {
	return request(configType, netlink.Acknowledge, group, func(ae *netlink.AttributeEncoder) {
		ae.Bytes(cfgCommand, []byte{commandBind})
		// struct nfulnl_msg_config_mode: copy range, copy mode, padding.
		ae.Bytes(cfgMode, append(binary.BigEndian.AppendUint32(nil, c.CopyRange), gonflog.CopyPacket, 0))
		ae.Uint32(cfgTimeout, c.timeout())
		c.batching(ae, c.QueueThreshold)
		ae.Uint16(cfgFlags, gonflog.FlagSeq)
	})
}

// batchRequest returns the request that changes the threshold of a bound group. It does
// not ask for an acknowledgement; the kernel sends an answer only if it refuses.
func (c Config) batchRequest(group uint16, threshold uint32) netlink.Message {
	return request(configType, 0, group, func(ae *netlink.AttributeEncoder) {
		c.batching(ae, threshold)
	})
}

func (c Config) batching(ae *netlink.AttributeEncoder, threshold uint32) {
	ae.Uint32(cfgBufferSize, c.bufferSize(threshold))
	ae.Uint32(cfgThreshold, threshold)
}

// probeRequest returns a request that shows whether the process has CAP_NET_ADMIN: the
// answer is EPERM if not.
func probeRequest() netlink.Message {
	// nfnetlink_rcv checks the capability before it calls the subsystem, whose
	// nfulnl_recv_unsupp refuses a packet from user space without an effect.
	return request(packetType, netlink.Acknowledge, 0, func(*netlink.AttributeEncoder) {})
}

// bind binds the group. The error says what to do about it.
func (r *Reader) bind(group uint16) error {
	err := r.ask(r.config.bindRequest(group))
	if err == nil {
		return nil
	}
	return bindError(group, err, func() bool {
		return !errors.Is(r.ask(probeRequest()), unix.EPERM)
	})
}

// ask sends a request and returns the errno of the kernel's answer, nil for 0. It must
// be called between admitAnswers and admitAll.
func (r *Reader) ask(m netlink.Message) error {
	// The kernel processes a request within sendmsg (netlink_unicast_kernel), so its
	// answer is in the receive queue when Send returns, and recv need not wait.
	m, err := r.conn.Send(m)
	if err != nil {
		return err
	}
	for {
		if err := r.recv(false); err != nil {
			return err
		}
		if r.errno != 0 {
			return fmt.Errorf("no answer from the kernel: %w", r.errno)
		}
		answer, _, _ := cutMessage(r.datagram())
		if errno, ok := answer.errno(); ok && answer.seq == m.Header.Sequence && r.fromKernel() {
			if errno != 0 {
				return errno
			}
			return nil
		}
	}
}
