package nflog

import (
	"encoding/binary"
	"errors"
	"fmt"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// request makes a message about one group for the log subsystem.
func request(kind netlink.HeaderType, flags netlink.HeaderFlags, group uint16, attrs func(*netlink.AttributeEncoder)) netlink.Message {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
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

// bindRequest makes an instance for the group and configures it, in one message:
// nfulnl_recv_config takes all of these attributes together. With one message
// each, the group would be left in between with the kernel's defaults, which
// keep a packet for a second.
//
// There is no PF_BIND in front of it: log statements with a group do not need
// it, and it would make NFLOG the default logger of the namespace.
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

// batchRequest changes the threshold of a group that is ours. It asks for no
// answer: the kernel sends one all the same if it refuses.
func (c Config) batchRequest(group uint16, threshold uint32) netlink.Message {
	return request(configType, 0, group, func(ae *netlink.AttributeEncoder) {
		c.batching(ae, threshold)
	})
}

func (c Config) batching(ae *netlink.AttributeEncoder, threshold uint32) {
	ae.Uint32(cfgBufferSize, c.bufferSize(threshold))
	ae.Uint32(cfgThreshold, threshold)
}

// probeRequest is a message that the kernel cannot process but has to check
// our capabilities for: EPERM says that they do not suffice, all else that
// they do.
func probeRequest() netlink.Message {
	return request(packetType, netlink.Acknowledge, 0, func(*netlink.AttributeEncoder) {})
}

// bind makes the group ours. The error is one for people.
func (r *Reader) bind(group uint16) error {
	err := r.ask(r.config.bindRequest(group))
	if err == nil {
		return nil
	}
	return bindError(group, err, func() bool {
		return !errors.Is(r.ask(probeRequest()), unix.EPERM)
	})
}

// ask sends a request and returns the kernel's answer, nil for a yes. Only for
// use while nothing but answers is admitted. The kernel has answered when Send
// returns, so there is nothing to wait for.
func (r *Reader) ask(m netlink.Message) error {
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
