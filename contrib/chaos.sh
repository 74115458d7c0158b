#!/usr/bin/env bash
#
# chaos.sh -- the fault campaign: runs rkbridge between a real Redis and a real Kafka, breaks them, the connections, the
# disk and rkbridge itself by a plan that a seed makes, and compares afterwards what was published with what arrived.
#
#     contrib/chaos.sh                       ten minutes, seeds 1 2 3 ..., two minutes each
#     contrib/chaos.sh --minutes M           M minutes of faults in all
#     contrib/chaos.sh --seeds A..B          these seeds in turn, until the minutes are used or all are through
#     contrib/chaos.sh --each M              minutes of one seed
#     contrib/chaos.sh --rate R              messages a second (600; with a build under sanitizers 60)
#     contrib/chaos.sh --build DIR           where rkbridge is (default: build/check, else the top of the checkout)
#     contrib/chaos.sh --self-test           tests itself: four builds broken on purpose must be found (some 5 minutes)
#     contrib/chaos.sh --totals FILE         adds a line of JSON about each run to FILE
#
# It builds nothing but for its test of itself, in build/chaos-selftest. It needs what the whole tests need:
# redis-server, Java, Kafka's jars (fetched once by Maven) and the Python packages of tests/whole/requirements.txt, in
# build/venv or in the Python that RKB_PYTHON names; and root, to mount a small file system for the journal (without it
# the full disk is not tried, and that is said). All of it listens on 127.0.0.1 only and ends with it, also by Ctrl-C.
# The run directory of a seed that fails is kept in /tmp. tests/chaos/README.md says what each fault is and how to
# replay a seed. Exit code: 0 all seeds well, 1 one failed, 2 one could not be run, 64 bad arguments.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
top=$PWD
minutes=10 each=2 first=1 last=1000000 build='' child='' self_test=no python=${RKB_PYTHON:-}
more=()

usage() { sed -n '3,14s/^# \{0,1\}//p' "$0" >&2; exit 64; }
number() { [[ ${1:-} =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage; printf '%s' "$1"; }

while (($# > 0)); do
    case $1 in
    --minutes) minutes=$(number "${2:-}") || exit 64 ;;
    --each) each=$(number "${2:-}") || exit 64 ;;
    --seeds) [[ ${2:-} =~ ^([0-9]+)(\.\.([0-9]+))?$ ]] || usage
        first=${BASH_REMATCH[1]} last=${BASH_REMATCH[3]:-${BASH_REMATCH[1]}} ;;
    --build) build=${2:?} ;;
    --rate) more+=(--rate "$(number "${2:-}")") || exit 64 ;;
    --self-test) self_test=yes; shift; continue ;;
    --totals) more+=(--totals "${2:?}") ;;
    *) usage ;;
    esac
    shift 2
done
if [ -z "$build" ]; then
    build=$top
    [ -x build/check/rkbridge ] && build=$top/build/check
fi
[ -x "$build/rkbridge" ] || {
    echo "chaos: no rkbridge in $build: build it first, or say where by --build" >&2
    exit 2
}
if [ -z "$python" ]; then
    python=python3
    [ -x build/venv/bin/python ] && python=$top/build/venv/bin/python
fi
"$python" -c 'import confluent_kafka, pytest, redis, yaml' 2>/dev/null || {
    echo "chaos: $python lacks the packages of tests/whole/requirements.txt; RKB_PYTHON names another" >&2
    exit 2
}

if [ "$self_test" = yes ]; then
    exec "$python" tests/chaos/selftest.py --build-root "$top/build/chaos-selftest"
fi

stopped=no
trap 'stopped=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' INT TERM HUP

one() { # seed minutes
    "$python" tests/chaos/run.py --build "$build" --seed "$1" --minutes "$2" ${more[@]+"${more[@]}"} &
    child=$!
    local code
    while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done   # a signal only interrupts the waiting
    child=''
    return "$code"
}

left() { awk -v a="$minutes" -v b="$each" 'BEGIN { print (a < b) ? a : b }'; }
some() { awk -v a="$minutes" 'BEGIN { exit !(a >= 0.25) }'; }     # less is no run

worst=0 good=0 bad=0 seed=$first
while [ "$seed" -le "$last" ] && [ "$stopped" = no ] && some; do
    part=$(left)
    echo "chaos: seed $seed for $part minutes, on $build"
    one "$seed" "$part"
    code=$?
    if [ "$code" -eq 0 ]; then good=$((good + 1)); else bad=$((bad + 1)); fi
    [ "$code" -le "$worst" ] || worst=$code
    minutes=$(awk -v a="$minutes" -v b="$part" 'BEGIN { print a - b }')
    seed=$((seed + 1))
done
echo "chaos: $good seeds well, $bad not"
[ "$stopped" = no ] || exit 2
exit "$worst"
