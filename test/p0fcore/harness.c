//go:build ignore

/* Times the core of p0f: parse_packet, packet_to_sig and tcp_find_match, in a
   loop over packets in memory.

     harness [-a] [-s seed] p0f.fp packets.pcap

   The capture is a classic pcap of raw IP packets, in this machine's byte
   order. Prints how many packets there are, how many of them p0f parsed and
   for how many it has a name, and the nanoseconds one packet took to parse, and
   to parse and match. With -a it prints p0f's answer to each packet instead:
   "???" where no signature fits, "-" where it does not accept the packet. Above
   that stands what p0f itself says of the file it loads.

   (The line at the top keeps the Go tool off this file.) */

#include "fp_tcp.c" /* for packet_to_sig and tcp_find_match, which are static */

#include <string.h>
#include <time.h>

#define GOES 5       /* of which the fastest counts */
#define PER_GO 50000 /* packets; as main.go has it */
#define LINKTYPE_RAW 101

/* What p0f.c defines and the other files refer to. */
u8 daemon_mode;
s32 link_type = DLT_RAW;
u32 max_conn, max_hosts, conn_max_age, host_idle_limit, hash_seed;
u8 *read_file;
void start_observation(char *keyword, u8 field_cnt, u8 to_srv, struct packet_flow *pf) {}
void add_observation_field(char *key, u8 *value) {}

static struct pcap_pkthdr *headers;
static const u8 **packets;
static u32 count;

static u8 matching; /* or parsing alone */
static u32 parsed, named;
static struct tcp_sig sig;

/* fingerprint_tcp gets these two as arguments. They are volatile so that the
   compiler does not make a tcp_find_match for SYNs alone, which p0f lacks. */
static volatile u8 to_srv = 1;
static volatile u16 syn_mss = 0;

/* take_packet is what parse_packet calls with each packet (see cut.c). It does
   what fingerprint_tcp does up to the answer, without allocating. It is in
   another file than parse_packet, as fingerprint_tcp is: parse_packet has to
   fill in every field, whether take_packet reads it or not. */
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

/* pass gives the nanoseconds one packet takes, over about PER_GO of them. */
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

  http_init(); /* read_config fills in its tables too */
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
