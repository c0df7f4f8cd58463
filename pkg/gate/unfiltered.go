package gate

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Unfiltered reports whether nothing but the table of this name, of family inet, can drop
// or reject a packet to the host of the calling thread's network namespace: whether there
// is no other base chain of type filter on a packet's way in that has a rule, or a policy
// other than accept, nor a table of the older iptables. A rule is taken for one that drops,
// whatever it does. It changes nothing, and needs CAP_NET_ADMIN: without, it returns an error.
func Unfiltered(table string) (bool, error) {
	if legacyTables() {
		return false, nil
	}
	conn, err := nftables.New()
	if err != nil {
		return false, err
	}
	chains, err := conn.ListChains()
	if err != nil {
		return false, err
	}
	for _, c := range chains {
		if !filtersInput(c) || c.Table.Name == table && c.Table.Family == nftables.TableFamilyINet {
			continue
		}
		if c.Policy != nil && *c.Policy != nftables.ChainPolicyAccept {
			return false, nil
		}
		if ruled, err := hasRules(c); ruled || err != nil {
			return false, err
		}
	}
	return true, nil
}

// filtersInput reports whether packets to this host pass a chain, and the chain can drop
// them.
func filtersInput(c *nftables.Chain) bool {
	if c.Hooknum == nil || c.Type == nftables.ChainTypeNAT {
		return false
	}
	// Hook numbers of family netdev mean others: 0 is ingress (netdev_ingress in
	// include/uapi/linux/netfilter.h).
	if c.Table.Family == nftables.TableFamilyNetdev {
		return *c.Hooknum == *nftables.ChainHookIngress
	}
	return *c.Hooknum == *nftables.ChainHookPrerouting || *c.Hooknum == *nftables.ChainHookInput || *c.Hooknum == hookInetIngress
}

// hookInetIngress is NF_INET_INGRESS (include/uapi/linux/netfilter.h).
const hookInetIngress = 5

// hasRules reports whether a chain has a rule. It does not look at what the rules are made
// of, of which the library does not know all.
func hasRules(c *nftables.Chain) (bool, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_RULE_TABLE, Data: []byte(c.Table.Name + "\x00")},
		{Type: unix.NFTA_RULE_CHAIN, Data: []byte(c.Name + "\x00")},
	})
	if err != nil {
		return false, err
	}
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE,
			Flags: netlink.Request | netlink.Dump,
		},
		// struct nfgenmsg: family, version, resource id.
		Data: append([]byte{byte(c.Table.Family), unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
	return len(answers) > 0, err
}

// legacyTables reports whether iptables has tables that nf_tables does not know, or may have
// some.
func legacyTables() bool {
	for _, file := range []string{"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"} {
		names, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(names)) != "" {
			return true
		}
	}
	return false
}
