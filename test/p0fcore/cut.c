//go:build ignore

/* p0f's process.c, unchanged except for the function that parse_packet calls.

   In p0f, parse_packet passes every packet to flow_dispatch, which keeps tables
   of flows and hosts. These tables are not measured here: parse_packet passes its
   packet to take_packet in harness.c instead.

   process.c names flow_dispatch three times: in a declaration, a call and a
   definition. The macro gives each a number, so that the call goes to take_packet
   and nothing calls the definition. The compiler then drops the definition, with
   everything that only it uses. parse_packet is compiled unchanged.

   (The build constraint at the top makes the Go tool ignore this file.) */

#define NUMBERED_(name, n) name##_##n
#define NUMBERED(name, n) NUMBERED_(name, n)
#define flow_dispatch NUMBERED(flow_dispatch, __COUNTER__)

struct packet_data;
void take_packet(struct packet_data *pk);
#define flow_dispatch_1 take_packet

#include "process.c"
