#!/usr/bin/env bash
# Fuzzes what reads what nobody has checked: JSON scanner, JSON Pointers, templates, checks, schemas. Each target is built
# by clang with libFuzzer and the address and undefined sanitizers, and runs for so many seconds.
#
#   contrib/fuzz.sh SECONDS [TARGET ...]     all targets of tests/fuzz/fuzz_*.c, or these
#
# What a run finds is written into build/fuzz/found/ and said; the exit code is then 1. What it learns stays in
# build/fuzz/corpus/, for the next run. Needs clang and libclang-rt-14-dev.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
if ! [[ ${1:-} =~ ^[0-9]+$ ]]; then
    echo "usage: contrib/fuzz.sh SECONDS [TARGET ...]" >&2
    exit 64
fi
seconds=$1
shift
CLANG=${CLANG:-clang}
out=$PWD/build/fuzz
mkdir -p "$out/objects" "$out/found"
targets=${*:-$(basename -s .c tests/fuzz/fuzz_*.c | sed 's/^fuzz_//')}
read -ra libraries <<<"$(pkg-config --cflags --libs jansson libxxhash libpcre2-8)"
flags=(-std=c11 -D_GNU_SOURCE -Isrc -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -fno-strict-aliasing -Wall -Wextra -Werror)

library() { # what is fuzzed, for coverage too
    local source object objects=()
    for source in src/base/*.c src/message/*.c; do
        object=$out/objects/$(basename -s .c "$source").o
        objects+=("$object")
        if [ "$object" -nt "$source" ] && [ -z "$(find src/base src/message -name '*.h' -newer "$object")" ]; then continue; fi
        "$CLANG" "${flags[@]}" "${libraries[@]}" -Wno-unused-command-line-argument -fsanitize=fuzzer-no-link,address,undefined \
            -c "$source" -o "$object" || return 1
    done
    rm -f "$out/library.a"
    ar rcs "$out/library.a" "${objects[@]}"
}

library || { echo "the library does not build" >&2; exit 1; }
bad=0
for target in $targets; do
    if ! "$CLANG" "${flags[@]}" -fsanitize=fuzzer,address,undefined "tests/fuzz/fuzz_$target.c" "$out/library.a" "${libraries[@]}" \
        -o "$out/fuzz_$target"; then
        echo "fuzz_$target: does not build"
        bad=1
        continue
    fi
    mkdir -p "$out/corpus/$target"
    log=$out/$target.log
    "$out/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1500 -max_len=8192 -print_final_stats=1 \
        -dict="tests/fuzz/$target.dict" -artifact_prefix="$out/found/$target-" "$out/corpus/$target" \
        "tests/fuzz/corpus/$target" >"$log" 2>&1
    code=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)
    if [ $code -ne 0 ]; then
        bad=1
        grep -vE '^#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD)' "$log" | tail -n 40
        echo "fuzz_$target: FOUND something (exit $code); the input is in build/fuzz/found/"
    fi
    echo "fuzz_$target: ${executions:-0} executions, coverage ${coverage:-unknown}"
done
exit $bad
