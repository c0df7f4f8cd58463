#!/usr/bin/env bash
# Measures nftknock's decoder and matcher and the core of p0f 3.09b on the same
# SYNs in memory, and prints a table:
#
#     test/p0fcore/bench.sh [capture.pcap ...]
#
# The captures named are measured in addition to pkg/p0f/testdata/linux-6.18.pcap.
# Needs gcc, the headers of libc and, the first time, the network: p0f is LGPL, so
# its source is not in this repository; it is downloaded from Debian into
# P0FCORE_CACHE (bin/p0fcore). CFLAGS (-O3) are the flags for p0f's core. p0f's own
# build adds a stack protector in every function, which is left out here because it
# would slow p0f down.
set -euo pipefail
cd "$(dirname "$0")/../.."
# The names of captures are relative to the directory that the caller is in.
captures=(pkg/p0f/testdata/linux-6.18.pcap)
for capture in "$@"; do
  captures+=("$(cd "$OLDPWD" && realpath -e "$capture")")
done

tarball=p0f_3.09b.orig.tar.gz
from=http://deb.debian.org/debian/pool/main/p/p0f/$tarball
sha256=543b68638e739be5c3e818c3958c3b124ac0ccb8be62ba274b4241dbdec00e7f
cache=${P0FCORE_CACHE:-bin/p0fcore}
compiler=${CC:-gcc}

fail() { echo "p0fcore: error: $*" >&2; exit 1; }
is_whole() { echo "$sha256  $1" | sha256sum --check --status; }

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

mkdir -p "$cache"
if ! [ -f "$cache/$tarball" ] || ! is_whole "$cache/$tarball"; then
  if command -v curl >/dev/null; then
    curl -fsSL --retry 3 --max-time 60 -o "$temporary/$tarball" "$from" || fail "cannot download $from"
  else
    wget -q --tries=3 --timeout=60 -O "$temporary/$tarball" "$from" || fail "cannot download $from"
  fi
  is_whole "$temporary/$tarball" || fail "$from has changed: its SHA-256 is not $sha256; if Debian's file is right, update sha256 in $0"
  mv "$temporary/$tarball" "$cache/$tarball"
fi

p0f=$temporary/p0f-3.09b
tar -C "$temporary" -xzf "$cache/$tarball"
# -w turns warnings off: p0f is from 2012 and is built unchanged.
# shellcheck disable=SC2086 # CFLAGS holds several words
"$compiler" ${CFLAGS:--O3} -w -I"$p0f" -Itest/p0fcore -o "$temporary/harness" \
  test/p0fcore/harness.c test/p0fcore/cut.c "$p0f"/{fp_mtu,fp_http,readfp}.c || fail "cannot build p0f's core"
go build -o "$temporary/p0fcore" ./test/p0fcore

fp=/etc/p0f/p0f.fp
[ -r "$fp" ] || fp=$p0f/p0f.fp

echo "p0f 3.09b, $("$compiler" --version | head -1), ${CFLAGS:--O3}; $(go env GOVERSION); signatures: ${fp#"$temporary"/}"
sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo
# Both run on one processor: another processor may be slower, because it shares its core.
processor=$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')
taskset -c "$processor" "$temporary/p0fcore" -harness "$temporary/harness" -fp "$fp" "${captures[@]}"
