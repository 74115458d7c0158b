#!/usr/bin/env bash
#
# soak.sh -- a steady stream through rkbridge for a long time, with a restart of Redis and one of Kafka in every period;
# then what was published is compared with what Kafka holds, the books and the gaps, and memory at the end with memory
# after the first period.
#
#     contrib/soak.sh                        30 minutes at 20,000 messages a second, periods of five minutes
#     contrib/soak.sh --minutes 1440         a day
#     contrib/soak.sh --minutes M            so many minutes
#     contrib/soak.sh --rate R               messages a second
#     contrib/soak.sh --every S              seconds of a period
#     contrib/soak.sh --build DIR            a configured build without sanitizers (default: build/soak, made with -O2)
#     contrib/soak.sh --directory DIR        where to write what is seen (default: a new one in /tmp, which is said)
#
# It needs redis-server, Java, Kafka's jars (fetched once by Maven) and python3, nothing else; a machine that does
# nothing else; and 2 GB in /tmp, a day 4 GB. All of it listens on 127.0.0.1 only and ends with it. Ctrl-C ends the
# stream and judges what there is; twice, it ends all at once. doc/reliability.md says what is demanded and what was
# seen. Exit code: 0 well, 1 something was found, 2 it could not be run or was broken off, 64 bad arguments.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
build='' more=()

usage() { sed -n '3,19s/^# \{0,1\}//p' "$0" >&2; exit 64; }
number() { [[ ${1:-} =~ ^[0-9]+$ ]] || usage; }

while (($# > 0)); do
    case $1 in
    --minutes | --rate | --every | --size) number "${2:-}"; more+=("$1" "$2") ;;
    --directory) more+=("$1" "${2:?}") ;;
    --build) build=$(realpath "${2:?}") ;;
    *) usage ;;
    esac
    shift 2
done

programs=(rkbridge rkbctl tests/chaos/soaking/publisher tests/chaos/soaking/tally)
if [ -z "$build" ]; then
    build=$top/build/soak
    mkdir -p "$build"
    [ -x "$top/configure" ] || (cd "$top" && autoreconf -i) || exit 2
    [ -f "$build/Makefile" ] || (cd "$build" && "$top/configure" -q CFLAGS='-O2 -g') || exit 2
fi
make -s -C "$build" "${programs[@]}" >&2 || { echo "soak: $build does not build" >&2; exit 2; }
if grep -qs 'fsanitize=' "$build/Makefile"; then
    echo "soak: $build is built with sanitizers: its memory says nothing" >&2
    exit 2
fi
exec python3 "$top/tests/chaos/soak.py" --build "$build" ${more[@]+"${more[@]}"}
