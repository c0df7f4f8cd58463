//go:build ignore

/* Times the core of p0f: parse_packet, packet_to_sig and tcp_find_match, in a
   loop over packets in memory.

     harness [-a] [-s seed] p0f.fp packets.pcap

   The capture is a classic pcap of raw IP packets, in this machine's byte
   order. Prints how many packets there are, how many of them p0f parsed and
   for how many it has a name, and the nanoseconds one packet took to parse, and
   to parse and match. With -a it prints p0f's answer to each packet instead:
   "???" if no signature matches, "-" if p0f does not accept the packet. p0f's own
   messages about the file that it loads come before the answers.

   (The build constraint at the top makes the Go tool ignore this file.) */

#include "fp_tcp.c" /* for packet_to_sig and tcp_find_match, which are static */

#include <string.h>
#include <time.h>

#define GOES 5       /* number of measurements; the fastest counts */
#define PER_GO 50000 /* packets per measurement; the same as in main.go */
#define LINKTYPE_RAW 101

/* Definitions that the other files use and that are in p0f.c in p0f. */
u8 daemon_mode;
s32 link_type = DLT_RAW;
u32 max_conn, max_hosts, conn_max_age, host_idle_limit, hash_seed;
u8 *read_file;
void start_observation(char *keyword, u8 field_cnt, u8 to_srv, struct packet_flow *pf) {}
void add_observation_field(char *key, u8 *value) {}

static struct pcap_pkthdr *headers;
static const u8 **packets;
static u32 count;

static u8 matching; /* parse and match; 0: only parse */
static u32 parsed, named;
static struct tcp_sig sig;

/* fingerprint_tcp gets these two as arguments. They are volatile so that the
   compiler does not generate a tcp_find_match specialised for SYNs, which p0f
   does not have. */
static volatile u8 to_srv = 1;
static volatile u16 syn_mss = 0;

/* parse_packet calls take_packet with each packet (see cut.c). take_packet does
   what fingerprint_tcp does up to the answer, without allocating. Like
   fingerprint_tcp, it is not in the same file as parse_packet, so that the
   compiler cannot leave out fields that take_packet does not read. */
void take_packet(struct packet_data *pk) {
  parsed++;
  if (!matching) return;
  packet_to_sig(pk, &sig);
  tcp_find_match(to_srv, &sig, 0, syn_mss);
  if (sig.matched) named++;
}

static void read_packets(const char *name) {
  struct { u32 magic; u16 major, minor; u32 zone, accuracy, snaplen, link; } file;
  struct { u32 sec, usec, caplen, len; } record;
  u8 *image, *at, *end;
  long size;
  FILE *f = fopen(name, "rb");

  if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < (long)sizeof(file)) PFATAL("Cannot read %s.", name);
  rewind(f);
  image = malloc(size);
  if (!image || fread(image, size, 1, f) != 1) PFATAL("Cannot read %s.", name);
  fclose(f);

  memcpy(&file, image, sizeof(file));
  if (file.magic != 0xa1b2c3d4 || file.link != LINKTYPE_RAW) FATAL("%s is not a pcap of raw IP packets.", name);

  headers = malloc(size / sizeof(record) * sizeof(*headers));
  packets = malloc(size / sizeof(record) * sizeof(*packets));
  if (!headers || !packets) PFATAL("Cannot hold %s.", name);
  end = image + size;
  for (at = image + sizeof(file); at < end; at += record.caplen) {
    if (end - at < (long)sizeof(record)) FATAL("%s is cut short.", name);
    memcpy(&record, at, sizeof(record));
    at += sizeof(record);
    if (end - at < record.caplen) FATAL("%s is cut short.", name);
    headers[count] = (struct pcap_pkthdr){ .caplen = record.caplen, .len = record.len };
    packets[count++] = at;
  }
  if (!count) FATAL("%s has no packets.", name);
}

static void print_answers(void) {
  u32 i;

  matching = 1;
  for (i = 0; i < count; i++) {
    parsed = 0;
    sig.matched = NULL;
    parse_packet(NULL, headers + i, packets[i]);
    if (!parsed) printf("-\n");
    else if (!sig.matched) printf("???\n");
    else if (!sig.matched->flavor) printf("%s\n", fp_os_names[sig.matched->name_id]);
    else printf("%s %s\n", fp_os_names[sig.matched->name_id], sig.matched->flavor);
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

/* pass returns the nanoseconds per packet, measured over about PER_GO packets. */
static double pass(u8 with_match) {
  u32 passes = (PER_GO + count - 1) / count, n, i;
  double start = now();

  matching = with_match;
  for (n = 0; n < passes; n++) {
    parsed = named = 0;
    for (i = 0; i < count; i++) parse_packet(NULL, headers + i, packets[i]);
  }
  return (now() - start) / passes / count;
}

int main(int argc, char **argv) {
  u8 answers = 0;
  double parse = 1e9, match = 1e9;
  int c, go;

  while ((c = getopt(argc, argv, "as:")) != -1) {
    if (c == 'a') answers = 1;
    else if (c == 's') hash_seed = strtoul(optarg, NULL, 0);
    else return 2;
  }
  if (argc - optind != 2) FATAL("Usage: harness [-a] [-s seed] p0f.fp packets.pcap");

  http_init(); /* read_config also fills the tables that http_init makes */
  read_config((u8 *)argv[optind]);
  read_packets(argv[optind + 1]);

  if (answers) {
    print_answers();
    return 0;
  }
  for (go = 0; go < GOES; go++) {
    double took = pass(0);
    parse = MIN(parse, took);
    took = pass(1);
    match = MIN(match, took);
  }
  printf("packets %u parsed %u named %u parse %.2f match %.2f\n", count, parsed, named, parse, match);
  return 0;
}
