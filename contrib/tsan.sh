#!/usr/bin/env bash
# The thread sanitizer: builds with it and runs the C tests in which threads meet: the loop, the shipper, the syncer,
# the log's writer, the one that looks after topics, and librdkafka's.
#
#   contrib/tsan.sh [TEST ...]           those tests, or these (names as in tests/unit/test_NAME.c)
#   contrib/tsan.sh --run COMMAND ...    any other command (say, contrib/chaos.sh) with what the sanitizer needs
#                                        around it
#
# The build is in build/tsan; what is reported lies in build/tsan/reports, a file for each process. tests/tsan/tsan.supp
# names what is passed over, and why; tests/tsan/threads.c makes librdkafka's threads known. Ends with `N passed, M
# failed`; the exit code is 1 if a test failed or anything was reported. CC may name a compiler cache before gcc; JOBS
# how many run side by side.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
top=$PWD
build=$top/build/tsan
reports=$build/reports
jobs=${JOBS:-$(nproc)}
# The longest first, so that none is left to run alone; they mostly wait, so twice as many as there are cores.
tests=(shipper_disk shipper topics ring relay shipper_dead dead_retry log mailbox relay_gaps relay_pause relay_reject
    relay_topics retry same_disk store syncer watch)

make_all() {
    mkdir -p "$build" && cd "$build" || return 1
    [ -e config.status ] ||
        ../../configure -q --enable-werror --enable-sanitizers=thread CC="${CC:-gcc}" CFLAGS="-O1 -g" || return 1
    make -s -j"$jobs" "$@" && ${CC:-gcc} -shared -fPIC -O1 -g "$top/tests/tsan/threads.c" -o threads.so
}

watched() { # command ...
    LD_PRELOAD=$build/threads.so srcdir=$top RKB_BUILD=$build \
        TSAN_OPTIONS="suppressions=$top/tests/tsan/tsan.supp exitcode=66 log_path=$reports/report" "$@"
}

one() { # test
    (cd "$build" && watched timeout 180 "tests/unit/test_$1") >"$reports/test_$1.log" 2>&1
    local code=$?
    if [ "$code" -eq 0 ]; then echo "PASS: test_$1"; else echo "FAIL: test_$1 ($code)"; fi
    return "$code"
}

rm -rf "$reports"
mkdir -p "$reports"
if [ "${1:-}" = --run ]; then
    shift
    (make_all rkbridge rkbctl) >"$reports/build.log" 2>&1 || { tail -n 40 "$reports/build.log"; exit 1; }
    watched "$@"
    code=$?
else
    [ $# -eq 0 ] || tests=("$@")
    if ! (make_all "${tests[@]/#/tests/unit/test_}") >"$reports/build.log" 2>&1; then
        tail -n 40 "$reports/build.log"
        echo "0 passed, 1 failed"
        exit 1
    fi
    export -f one watched
    export build reports top
    printf '%s\n' "${tests[@]}" | xargs -P $((2 * jobs)) -I {} bash -c 'one {}' | tee "$reports/said"
    code=0
    grep -q '^FAIL' "$reports/said" && code=1
    for name in $(sed -n 's/^FAIL: \([a-z_]*\).*/\1/p' "$reports/said"); do tail -n 30 "$reports/$name.log"; done
fi
found=$(find "$reports" -name 'report.*' | wc -l)
if [ "$found" -gt 0 ]; then
    cat "$reports"/report.* | head -n 120
    echo "the thread sanitizer reported something in $found processes: build/tsan/reports"
    code=1
fi
if [ -e "$reports/said" ]; then
    passed=$(cat "$reports"/test_*.log | grep -c '^\[       OK \]')
    echo "$passed passed, $(grep -c '^FAIL' "$reports/said") failed"
fi
exit "$code"
