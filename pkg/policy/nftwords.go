package policy

import "strings"

// nftWords are the words that nft does not read as the name of a table: those that
// its scanner knows everywhere, and those that it knows behind "list" (src/scanner.l
// of nftables 1.1). The kernel takes such a name, and "nft list ruleset" prints it
// without quotes; what it printed cannot be loaded again.
var nftWords = strings.Fields(`
accept add ah all and arp bridge cgroup chain chains comment comp constant continue
counter counters cpu create ct day dccp define delete describe destroy device devices
dnat drop dst dup dynamic ecn element elements eq esp ether exists expires export
exthdr fib flags flow flowtable flowtables flush frag fwd ge geneve get goto gre gretap
gt handle hbh hook hooks hour ibriport ibrname icmp icmpv6 igmp iif iifgroup iifname
iiftype import include index inet insert interval ip ip6 ipsec jhash jump le limit
limits list log lshift lt map maps mark masquerade meta meter meters mh missing monitor
ne netdev nftrace not notrack numgen obriport obrname offload oif oifgroup oifname
oiftype or osf pkttype policy position priority queue quota quotas random redefine
redirect reject rename replace reset return rshift rt rt0 rt2 rtclassid rule rules
ruleset sctp secmark secmarks set sets size skgid skuid snat socket srh symhash
synproxy synproxys table tables tcp th time timeout tproxy tunnel tunnels type typeof
udp udplite undefine update vlan vmap vni vxlan xor xt
auto-merge gc-interval
`)
