#!/usr/bin/env bash
# Runs every test ring on this checkout: installs what the tests need, builds with sanitizers, and ends with one line
# that says how many tests passed and failed. For a Debian 12, as root where something has to be installed.
#
#   contrib/check.sh            all rings
#   contrib/check.sh RING ...   only these: c clang fuzz tsan whole dist chaos quickstart bench;
#                               dist+chaos: side by side
#
# What a ring says is in build/logs too, ring-NAME.log; what its steps say in STEP.log. Two rings side by side are shown
# one after the other. At the end each ring's seconds are told.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
top=$PWD
build=$top/build/check
logs=$top/build/logs
# What mostly waits and judges nothing by time runs beside what computes.
rings=${*:-c clang fuzz+tsan whole dist+chaos quickstart+bench}
passed=0 failed=0 not_run=0 times=''
mkdir -p "$build" "$logs"

say() { printf '\n== %s\n' "$*"; }
count() { # passed, failed, what
    passed=$((passed + $1)) failed=$((failed + $2))
    printf '   %s: %d passed, %d failed\n' "$3" "$1" "$2"
}
# One step that either passes or fails; its output goes to a log that is shown when it fails.
step() { # name, command ...
    local name=$1 log=$logs/$1.log
    shift
    if "$@" >"$log" 2>&1; then count 1 0 "$name"; else count 0 1 "$name"; tail -n 60 "$log"; return 1; fi
}
# One ring, in a process of its own: its counts and its seconds go to a file.
ring() { # name
    local since=$SECONDS
    passed=0 failed=0 not_run=0
    rm -f "$logs/ring-$1.counts"
    "ring_$1"
    echo "$passed $failed $not_run $((SECONDS - since))" >"$logs/ring-$1.counts"
}
# Rings joined by +, side by side; the first is heard at once, the others when it is done.
side_by_side() { # name+name...
    local names=() name good bad missing seconds
    IFS=+ read -ra names <<<"$1"
    for name in "${names[@]:1}"; do
        ring "$name" >"$logs/ring-$name.log" 2>&1 &
    done
    ring "${names[0]}" 2>&1 | tee "$logs/ring-${names[0]}.log"
    wait
    for name in "${names[@]:1}"; do cat "$logs/ring-$name.log"; done
    for name in "${names[@]}"; do
        # A ring that died has not said how it was.
        read -r good bad missing seconds <"$logs/ring-$name.counts" || { good=0 bad=1 missing=0 seconds=0; }
        passed=$((passed + good)) failed=$((failed + bad)) not_run=$((not_run + missing))
        times="$times $name $seconds s,"
    done
}

packages=(build-essential autoconf automake pkg-config libhiredis-dev librdkafka-dev libevent-dev libjansson-dev
    libyaml-dev libxxhash-dev libssl-dev libpcre2-dev openssl libcmocka-dev json-schema-test-suite redis-server kcat
    python3 python3-venv default-jre-headless maven clang libclang-rt-14-dev mandoc systemd docker-compose prometheus)

configure() { # directory, arguments
    mkdir -p "$1" && (cd "$1" && shift && "$top/configure" --enable-werror "$@")
}

# cmocka's own lines are counted: a program holds many tests. Most of their time they wait, hence -j4, here and in
# distcheck.
ring_c() {
    say "C tests, under address and undefined sanitizers"
    timeout 1200 make -C "$build" -j4 -k check >"$logs/c.log" 2>&1
    local code=$? good bad
    good=$(cat "$build"/tests/unit/*.log 2>/dev/null | grep -c '^\[       OK \]')
    bad=$(cat "$build"/tests/unit/*.log 2>/dev/null | awk '/^ *[0-9]+ FAILED TEST/ { n += $1 } END { print n + 0 }')
    good=$((good + $(grep -c '^PASS: tests/meta' "$logs/c.log")))
    bad=$((bad + $(grep -c '^FAIL: tests/meta' "$logs/c.log")))
    # A program that died, or did not build, has no line of its own.
    [ $code -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    count "$good" "$bad" "C tests"
    # A program that ends with 77 says itself what it lacks.
    not_run=$((not_run + $(grep -c '^SKIP: ' "$logs/c.log")))
    grep -h '^NOT RUN' "$build"/tests/unit/*.log "$build"/tests/meta/*.log 2>/dev/null
    if [ "$bad" -ne 0 ]; then
        grep -E '^(FAIL|ERROR)|error:|No rule' "$logs/c.log"
        tail -n 40 "$build/test-suite.log" 2>/dev/null
    fi
}

ring_clang() {
    say "Clean under clang"
    step clang-build sh -c "mkdir -p '$top/build/clang' && cd '$top/build/clang' \
        && ../../configure --enable-werror CC=clang \
        && make -j2 && make -j2 \$(cd '$top' && ls tests/unit/test_*.c | sed 's/\\.c\$//') \
        tests/bench/publisher tests/bench/sink tests/bench/floor tests/chaos/soaking/publisher"
}

# A bounded look; contrib/fuzz.sh looks for as long as it is told.
ring_fuzz() {
    say "Fuzzing: RESP, config, journal, ring, control socket, JSON, templates, checks, schemas, for 10 s each"
    local source target
    contrib/fuzz.sh 10 >"$logs/fuzz.log" 2>&1
    for source in tests/fuzz/fuzz_*.c; do
        target=$(basename -s .c "${source/fuzz_/}")
        if grep -q "^fuzz_$target: [1-9][0-9]* executions" "$logs/fuzz.log" &&
            ! grep -q "^fuzz_$target: [Fd]" "$logs/fuzz.log"; then
            count 1 0 "fuzz-$target"
        else
            count 0 1 "fuzz-$target"
        fi
    done
    grep -E '^fuzz_[a-z]*: [0-9]+ executions' "$logs/fuzz.log"
    if grep -qE '^fuzz_[a-z]*: [Fd]|does not build' "$logs/fuzz.log"; then tail -n 60 "$logs/fuzz.log"; fi
}

# A test program is a step: its tests are those of the C ring.
ring_tsan() {
    say "C tests of what threads share, under the thread sanitizer"
    contrib/tsan.sh >"$logs/tsan.log" 2>&1
    local code=$? good bad
    good=$(grep -c '^PASS: ' "$logs/tsan.log")
    bad=$(grep -c '^FAIL: ' "$logs/tsan.log")
    [ $code -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    count "$good" "$bad" "programs under the thread sanitizer"
    [ "$bad" -eq 0 ] || { tail -n 80 "$logs/tsan.log"; return; }
    # The whole of it, with reloads under load: who reads the config, the loop, the shipper's table, the topics.
    with_venv || return
    step tsan-reload env RKB_RELOADS=60 RKB_RELOAD_RATE=1000 contrib/tsan.sh --run "$venv/bin/python" -m pytest \
        tests/whole/test_reload.py -q -k reloads_under_load
}

# The Python packages of the tests.
venv=$top/build/venv
with_venv() {
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" -q --disable-pip-version-check install -r tests/whole/requirements.txt && return
    count 0 1 "pip"
    return 1
}

ring_whole() {
    say "Whole tests: real redis-server, real Kafka"
    with_venv || return
    [ -x "$top/build/clang/rkbridge" ] || ring_clang    # without sanitizers, for the test that measures memory
    RKB_BUILD=$build RKB_PLAIN_BUILD=$top/build/clang "$venv/bin/python" -m pytest tests/whole -q --durations=8 2>&1 |
        tee "$logs/whole.log"
    local line
    line=$(grep -E '^(=+ )?[0-9]+ (passed|failed|error).* in [0-9.]+s' "$logs/whole.log" | tail -n 1)
    number() { printf '%s' "$line" | grep -oE "[0-9]+ $1" | grep -oE '[0-9]+' || echo 0; }
    if [ -z "$line" ]; then count 0 1 "whole tests (no result)"; else
        count "$(number passed)" "$(($(number failed) + $(number error)))" "whole tests"
        not_run=$((not_run + $(number skipped)))
    fi
}

# By a fixed seed, so that two checks of one checkout do the same; contrib/chaos.sh goes on to others.
ring_chaos() {
    say "The fault campaign: its own parts, and two minutes of it"
    with_venv || return
    make -C "$build" tests/chaos/soaking/tally >"$logs/tally.log" 2>&1 || { count 0 1 "the soak's tally"; return; }
    step chaos-parts env RKB_BUILD="$build" "$venv/bin/python" -m pytest tests/chaos -q
    step chaos contrib/chaos.sh --minutes 2 --seeds "${RKB_CHAOS_SEED:-1}" --build "$build" &&
        tail -n 2 "$logs/chaos.log"
    not_run=$((not_run + $(grep -c 'NOT RUN' "$logs/chaos.log")))
}

ring_dist() {
    say "make distcheck"
    step distcheck timeout 1200 make -C "$build" -j4 distcheck DISTCHECK_CONFIGURE_FLAGS=--enable-werror
}

ring_quickstart() {
    say "The quickstart, as a new user runs it"
    step quickstart contrib/quickstart.sh --for 10
    step pull-the-plug timeout 180 contrib/quickstart.sh --pull-the-plug --for 8
}

ring_bench() {
    say "The benchmark: does its checker notice what is lost, twice or out of order?"
    step bench-checker "$venv/bin/python" tests/bench/bench.py --build "$top/build/clang" --self-test
    say "Its short run: nothing missing, twice or out of order (no timing is judged)"
    step bench "$venv/bin/python" tests/bench/bench.py --build "$top/build/clang" --count 50000 --rounds 1 --only burst
}

say "What the tests need"
contrib/install.sh "${packages[@]}" || exit 1
[ -x configure ] || autoreconf -i >"$logs/autoreconf.log" 2>&1 || { cat "$logs/autoreconf.log"; exit 1; }
say "Build, with sanitizers"
if ! { configure "$build" --enable-sanitizers CFLAGS="-O1 -g" && make -C "$build" -j2; } >"$logs/build.log" 2>&1; then
    tail -n 60 "$logs/build.log"
    echo "0 passed, 1 failed"
    exit 1
fi
times="install and build $SECONDS s,"
for group in $rings; do
    side_by_side "$group"
done
say "All rings"
echo "$times in all $SECONDS s"
[ "$not_run" -eq 0 ] || echo "$not_run NOT RUN: this machine lacks what they need (c.log and whole.log in build/logs)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
