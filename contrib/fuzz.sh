#!/usr/bin/env bash
# Fuzzes what reads what nobody has checked: RESP, the config file, the journal's files, the ring, the control socket,
# JSON, JSON Pointers, templates, checks, schemas. Each target is built by clang with libFuzzer and the address and
# undefined sanitizers, and runs for so many seconds; as many run side by side as there are cores (JOBS says otherwise).
#
#   contrib/fuzz.sh SECONDS [TARGET ...]     all targets of tests/fuzz/fuzz_*.c, or these; 0 seconds: builds them
#
# What a run finds is written into build/fuzz/found/ and said; the exit code is then 1. What it learns stays in
# build/fuzz/corpus/, for the next run. Needs clang and libclang-rt-14-dev. CC may name a compiler cache before clang.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
if ! [[ ${1:-} =~ ^[0-9]+$ ]]; then
    echo "usage: contrib/fuzz.sh SECONDS [TARGET ...]" >&2
    exit 64
fi
seconds=$1
shift
read -ra CLANG <<<"${CLANG:-clang}"
jobs=${JOBS:-$(nproc)}
out=$PWD/build/fuzz
mkdir -p "$out/objects" "$out/found"
targets=${*:-$(basename -s .c tests/fuzz/fuzz_*.c | sed 's/^fuzz_//')}
# Files that a target writes: in memory where that can be, and gone at the end whatever happens.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)" rkb-fuzz-XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
read -ra libraries <<<"$(pkg-config --cflags --libs hiredis rdkafka libevent_core libevent_extra libevent_openssl \
    jansson yaml-0.1 libxxhash openssl libpcre2-8)"
flags=(-std=c11 -D_GNU_SOURCE -DPACKAGE_VERSION='"fuzz"' -Isrc -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
    -fno-strict-aliasing -Wall -Wextra -Werror -Wno-unused-command-line-argument)

# What is fuzzed, for coverage too: an object of each source that changed.
library() {
    local source object stale=() objects=()
    for source in src/{base,message,redis,journal,kafka,config,control}/*.c; do
        object=$out/objects/$(dirname "${source#src/}")-$(basename -s .c "$source").o
        objects+=("$object")
        if ! [ "$object" -nt "$source" ] || [ -n "$(find src -name '*.h' -newer "$object")" ]; then
            stale+=("$source" "$object")
        fi
    done
    [ ${#stale[@]} -eq 0 ] || printf '%s\0' "${stale[@]}" | xargs -0 -n 2 -P "$jobs" bash -c '
        set -- "$@"; object=${*: -1}; source=${*: -2:1}
        "${@:1:$#-2}" -c "$source" -o "$object.new" && mv "$object.new" "$object"' compile \
        "${CLANG[@]}" "${flags[@]}" "${libraries[@]}" -fsanitize=fuzzer-no-link,address,undefined || return 1
    rm -f "$out/library.a"
    ar rcs "$out/library.a" "${objects[@]}"
}

build() { # target
    "${CLANG[@]}" "${flags[@]}" -fsanitize=fuzzer,address,undefined "tests/fuzz/fuzz_$1.c" "$out/library.a" \
        "${libraries[@]}" -pthread -o "$out/fuzz_$1"
}

run() { # target
    local log=$out/$1.log code executions coverage
    mkdir -p "$out/corpus/$1" "$scratch/$1"
    TMPDIR=$scratch/$1 "$out/fuzz_$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1500 -max_len=8192 \
        -print_final_stats=1 -dict="tests/fuzz/$1.dict" -artifact_prefix="$out/found/$1-" "$out/corpus/$1" \
        "tests/fuzz/corpus/$1" >"$log" 2>&1
    code=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)
    if [ $code -ne 0 ]; then
        grep -avE '^#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD)' "$log" | tail -n 40
        echo "fuzz_$1: FOUND something (exit $code); the input is in build/fuzz/found/"
    fi
    echo "fuzz_$1: ${executions:-0} executions, coverage ${coverage:-unknown}"
    return "$code"
}

library || { echo "the library does not build" >&2; exit 1; }
bad=0
for target in $targets; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
    {
        if ! build "$target"; then
            echo "fuzz_$target: does not build"
            false
        elif [ "$seconds" -gt 0 ]; then
            run "$target"
        fi
        echo $? >"$scratch/$target.code"
    } >"$scratch/$target.said" 2>&1 &
done
wait
for target in $targets; do
    cat "$scratch/$target.said"
    [ "$(cat "$scratch/$target.code")" = 0 ] || bad=1
done
exit $bad
