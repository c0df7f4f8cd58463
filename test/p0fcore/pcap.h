/* The parts of libpcap's header that p0f's core needs. The core never calls
   libpcap, so libpcap need not be installed. */

#ifndef P0FCORE_PCAP_H
#define P0FCORE_PCAP_H

#include <stdint.h>
#include <sys/time.h>

struct pcap_pkthdr {
  struct timeval ts;
  uint32_t caplen;
  uint32_t len;
};

/* Only DLT_RAW is used; the other values only have to differ from it. */
#define DLT_NULL 0
#define DLT_EN10MB 1
#define DLT_PPP 9
#define DLT_RAW 12
#define DLT_PPP_ETHER 51
#define DLT_IEEE802_11 105
#define DLT_LOOP 108
#define DLT_PFLOG 117

#endif
