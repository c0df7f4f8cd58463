//go:build ignore

/* p0f's process.c, unchanged, but for where parse_packet leads to.

   In p0f it hands every packet to flow_dispatch, which keeps books on flows
   and hosts. None of that is measured here: parse_packet hands its packet to
   take_packet in harness.c instead.

   process.c names flow_dispatch three times: it declares it, calls it, and
   defines it. The macro numbers them, so that the call goes to a function of
   our own and the definition is one nobody calls, which the compiler drops
   with all that only it uses. parse_packet is compiled as it stands.

   (The line at the top keeps the Go tool off this file.) */

#define NUMBERED_(name, n) name##_##n
#define NUMBERED(name, n) NUMBERED_(name, n)
#define flow_dispatch NUMBERED(flow_dispatch, __COUNTER__)

struct packet_data;
void take_packet(struct packet_data *pk);
#define flow_dispatch_1 take_packet

#include "process.c"
