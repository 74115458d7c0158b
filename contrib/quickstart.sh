#!/usr/bin/env bash
#
# quickstart.sh -- see rkbridge at work: installs what is missing, builds it, and runs it between a private Redis and a
# Kafka inside the bridge, with a few demo publishers and a consumer that reads along.
#
#     contrib/quickstart.sh                  until Ctrl-C
#     contrib/quickstart.sh --for SECONDS    ends by itself; exit 0 only if every message published arrived exactly once
#     contrib/quickstart.sh --build-only     installs and builds
#     contrib/quickstart.sh --pull-the-plug  runs it under load beside a real Kafka, kills each of them, cuts
#                                            connections, and counts what came through; in less than a minute
#                                            (--for SECONDS of load: 20)
#
# Everything it starts listens on 127.0.0.1, keeps its files in temporary directories, and ends with it. It touches
# no other Redis of this machine. What it builds is in build/quickstart. Root is needed only where something is missing.

set -u -o pipefail
export LC_ALL=C.UTF-8

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
build=$top/build/quickstart
[[ -e $top/config.status ]] && build=$top     # built in its own tree already: a second place would be refused
topics=(user_activity inventory orders)
books_every=5
how_to_every=4          # books: what scrolled away comes again

seconds=0               # 0: until Ctrl-C
build_only=no
plug=no
programs='rkbridge rkbctl'
run=''                  # our temporary directory
rings=''                # and one in memory, for the bridge's ring
port=''                 # Redis
kafka=''                # host:port
socket=''               # the bridge's control socket
stats=''                # its latest statistics
declare -A pid_of=()    # what we started: name -> process

usage() {
    sed -n '3,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '\nquickstart: %s\n' "$*" >&2
    exit 1
}

# fail_with_log WHAT FILE
fail_with_log() {
    printf '\nquickstart: %s; the last lines of its log:\n' "$1" >&2
    tail -n 15 "$2" | sed 's/^/    /' >&2
    exit 1
}

# --- what has to be there

# What we look for and the Debian package that brings it.
commands='cc:build-essential make:build-essential autoreconf:autoconf automake:automake pkg-config:pkg-config
          redis-server:redis-server redis-cli:redis-tools kcat:kcat setpriv:util-linux'
modules='hiredis:libhiredis-dev rdkafka:librdkafka-dev libevent:libevent-dev jansson:libjansson-dev yaml-0.1:libyaml-dev
         libxxhash:libxxhash-dev openssl:libssl-dev libpcre2-8:libpcre2-dev'

missing_packages() {
    local pair
    {
        for pair in $commands; do
            command -v "${pair%%:*}" >/dev/null || say "${pair#*:}"
        done
        for pair in $modules; do
            pkg-config --exists "${pair%%:*}" 2>/dev/null || say "${pair#*:}"
        done
    } | sort -u
}

install_missing() {
    local -a missing
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} == 0)) && return
    "$top/contrib/install.sh" "${missing[@]}" || fail "what is missing could not be installed"
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} == 0)) || fail "still missing after the installation: ${missing[*]}"
}

# --- build

build_all() {
    [[ -x $top/configure ]] || (cd "$top" && autoreconf -i) || return
    cd "$build" || return
    [[ -e Makefile ]] || "$top/configure" || return
    # shellcheck disable=SC2086
    make -j "$(nproc)" $programs
}

build_bridge() {
    mkdir -p "$build" || fail "cannot write to $top"
    local log=$build/quickstart.log started=$SECONDS
    say "Building rkbridge in $build"
    (build_all) >"$log" 2>&1 || fail_with_log "the build failed (all of it: $log)" "$log"
    ((SECONDS - started > 1)) && say "Built in $((SECONDS - started)) s"
    [[ -x $build/rkbridge && -x $build/rkbctl ]] || fail "the build made no rkbridge or no rkbctl in $build"
}

# --- starting and ending

# start NAME COMMAND...: out of reach of the terminal's Ctrl-C, so that all can be ended in order; ends with us in any
# case.
start() {
    local name=$1
    shift
    setsid setpriv --pdeathsig TERM -- "$@" >>"$run/$name.log" 2>&1 </dev/null &
    pid_of[$name]=$!
}

alive() {
    kill -0 "${pid_of[$1]}" 2>/dev/null
}

# stop NAME SECONDS: asks it to end, waits, ends it by force; its exit code.
stop() {
    local pid=${pid_of[$1]:-} deadline=$((SECONDS + $2))
    [[ -n $pid ]] || return 0
    unset "pid_of[$1]"
    kill -TERM "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS > deadline)) && kill -KILL "$pid" 2>/dev/null
        sleep 0.05
    done
    wait "$pid" 2>/dev/null
}

names() {
    local name
    for name in "${!pid_of[@]}"; do
        [[ $name == "$1"* ]] && say "$name"
    done
}

# Ends what was started, from the publishers to Redis, and removes what was made.
finish() {
    local code=$? name
    trap '' INT TERM HUP
    trap - EXIT
    for name in $(names publish) rkbridge $(names consume) redis; do
        stop "$name" 10
    done
    ((code > 128)) && printf '\nAll that was started has ended.\n'
    rm -rf ${run:+"$run"} ${rings:+"$rings"}
    exit "$code"
}

# wait_for SECONDS NAME COMMAND...: until the command succeeds; fails when NAME ends or the time is over.
wait_for() {
    local deadline=$((SECONDS + $1)) name=$2
    shift 2
    until "$@"; do
        alive "$name" || fail_with_log "$name ended" "$run/$name.log"
        ((SECONDS < deadline)) || fail_with_log "$name was not ready in time" "$run/$name.log"
        sleep 0.1
    done
}

# Is the Redis on our port ours, and answering?
redis_answers() {
    [[ $(redis-cli -p "$port" info server 2>/dev/null) == *"process_id:${pid_of[redis]}"$'\r'* ]]
}

start_redis() {
    local try
    for try in {1..20}; do
        port=$((20000 + RANDOM % 10000))
        start redis redis-server --port "$port" --bind 127.0.0.1 --dir "$run" --save '' --appendonly no
        until redis_answers; do
            alive redis || continue 2       # the port is taken: another one
            sleep 0.1
        done
        return
    done
    fail_with_log "redis-server did not start in $try tries" "$run/redis.log"
}

# figure NAME: the first number or text of that name in the bridge's statistics.
figure() {
    sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" <<<"$stats"
}

bridge_is_ready() {
    stats=$("$build/rkbctl" -s "$socket" stats json 2>/dev/null) && [[ $(figure ready) == true ]]
}

start_bridge() {
    socket=$run/control.sock
    rings=$(mktemp -d /dev/shm/rkbridge-quickstart.XXXXXX 2>/dev/null)
    cat >"$run/rkbridge.yaml" <<CONFIG
instance: quickstart
redis:
  demo: {url: "redis://127.0.0.1:$port"}
journal: {directory: $run/journal, ring_directory: ${rings:-none}, max_size: 256MiB}
control: {socket: $socket}
routes:
  users:
    source: demo
    channels: [user_created, user_deleted]
    topic: user_activity
    payload_name: user
  inventory:
    source: demo
    channels: product_inventory_updates
    topic: inventory
    payload_name: product
  orders:
    source: demo
    patterns: "orders.*"
    topic: orders
    payload_name: order
CONFIG
    start rkbridge "$build/rkbridge" -c "$run/rkbridge.yaml" --embedded-kafka
    wait_for 20 rkbridge bridge_is_ready
    kafka=$(figure bootstrap_servers)
}

# --- publishers

# Each message of ours carries its publisher's name and number, "demo": "users.17"; what got a reply is written down.
publish() {
    local name=$1 pause=$2 number=0 channel payload reply
    until [[ -e $run/enough ]]; do
        number=$((number + 1))
        message_of "$name" "$number"
        reply=$(redis-cli -p "$port" publish "$channel" "$payload" 2>&1)
        [[ $reply =~ ^[0-9]+$ ]] || fail "the reply to PUBLISH was: $reply"
        say "$name.$number" >>"$run/published"
        sleep "$pause"
    done
}

# Sets channel and payload of a publisher's next message.
message_of() {
    local people=(Ada Grace Edsger Barbara Dennis Radia Leslie) goods=(teapot lantern compass kettle ladder)
    local cities=(lisbon oslo turin)
    local demo="\"demo\": \"$1.$2\""
    case $1 in
    users)
        channel=user_created payload="{\"name\": \"${people[RANDOM % 7]}\", \"number\": $((1000 + $2)), $demo}"
        (($2 % 5)) || channel=user_deleted
        ;;
    inventory)
        channel=product_inventory_updates
        payload="{\"product\": \"${goods[RANDOM % 5]}\", \"in_stock\": $((RANDOM % 500)), $demo}"
        ;;
    orders)
        channel=orders.${cities[RANDOM % 3]}
        payload="{\"order\": $((70000 + $2)), \"total\": $((RANDOM % 200)).$((10 + RANDOM % 90)), "
        payload+="\"currency\": \"EUR\", $demo}"
        ;;
    esac
}

start_publishers() {
    local name pause
    : >"$run/published"
    while read -r name pause; do
        publish "$name" "$pause" >>"$run/publish-$name.log" 2>&1 </dev/null &
        pid_of[publish-$name]=$!
    done <<<$'users 0.5\ninventory 0.7\norders 0.6'
}

# --- consumer

# Sets width to the terminal's, at most once a second; what is no terminal is wide.
width=200
measured=-1
measure_width() {
    local size
    ((measured == SECONDS)) && return
    measured=$SECONDS
    [[ -t 1 ]] && size=$(stty size 2>/dev/null </dev/tty) && ((${size#* } > 0)) && width=${size#* }
}

# A record on the screen, no wider than the terminal: one line, or two and a short UUID where the terminal is narrow, so
# that the payload is seen. No control characters: whoever publishes must not move the cursor.
show_record() {
    local channel=${1//[[:cntrl:]]/?} topic=$2 value=${3//[[:cntrl:]]/ } line hex='[0-9a-f]'
    measure_width
    if ((width >= 150)); then
        printf -v line '%-25s -> %-13s  %s' "$channel" "$topic" "$value"
        say "${line:0:width}"
    else
        [[ $value =~ ($hex{8})-$hex{4}-$hex{4}-$hex{4}-$hex{12} ]] &&
            value=${value/"${BASH_REMATCH[0]}"/"${BASH_REMATCH[1]}…"}
        line="$channel -> $topic"
        value="    $value"
        say "${line:0:width}"$'\n'"${value:0:width}"
    fi
}

# Reads kcat's JSON lines of one topic: shows each record and writes down which message of ours it was.
show_records() {
    local topic=$1 line key value quoted='"(([^"\\]|\\.)*)"'
    while IFS= read -r line; do
        [[ $line =~ \"key\":$quoted ]] && key=${BASH_REMATCH[1]} || key='-'
        [[ $line =~ \"payload\":$quoted ]] && value=${BASH_REMATCH[1]} || value=''
        value=${value//\\\"/\"}
        [[ $value =~ \"demo\":\ \"([a-z]+\.[0-9]+)\" ]] && say "${BASH_REMATCH[1]}" >>"$run/arrived"
        show_record "$key" "$topic" "${value//\\\\/\\}"
    done
}

start_consumers() {
    local topic
    : >"$run/arrived"
    for topic in "${topics[@]}"; do
        setsid setpriv --pdeathsig TERM -- kcat -b "$kafka" -C -t "$topic" -o beginning -q -u -J \
            2>>"$run/consume-$topic.log" </dev/null > >(trap '' INT; show_records "$topic") &
        pid_of[consume-$topic]=$!
    done
}

# --- the screen

how_to() {
    cat <<SCREEN

  publish   redis-cli -p $port publish user_created '{"name": "you"}'
  consume   kcat -b $kafka -C -t user_activity
  look      $build/rkbctl -s $socket status

SCREEN
}

welcome() {
    local end='Ctrl-C ends it.'
    ((seconds > 0)) && end="It ends after $seconds s."
    printf '\nrkbridge is running between a Redis and a Kafka of its own. %s In another terminal you can\n' "$end"
    how_to
    printf 'What demo publishers and you publish, as it arrives (channel -> topic, record):\n\n'
}

# book NAME: one figure of the totals.
book() {
    [[ $stats =~ \"totals\":[^}]*\"$1\":\ *([0-9]+) ]] && printf '%s' "${BASH_REMATCH[1]}"
}

# The books in one line; what is seldom other than nought is left out while it is.
show_books() {
    local name more=''
    stats=$("$build/rkbctl" -s "$socket" stats json 2>/dev/null) || return
    for name in recovered covered dead_lettered filtered echoed dropped; do
        [[ $(book "$name") == 0 ]] || more+=", $name $(book "$name")"
    done
    say "-- books: received $(book received) = delivered $(book delivered) + pending $(book pending)$more"
}

# In the order in which one part's end is another's.
check_parts() {
    local name
    for name in redis rkbridge $(names consume) $(names publish); do
        alive "$name" || fail_with_log "$name ended" "$run/$name.log"
    done
}

watch() {
    local next=$((SECONDS + books_every)) until=$((SECONDS + seconds)) shown=0
    while ((seconds == 0 || SECONDS < until)); do
        sleep 0.5
        check_parts
        if ((SECONDS >= next)); then
            next=$((SECONDS + books_every))
            show_books
            ((++shown % how_to_every)) || how_to
        fi
    done
}

# --- the account at the end

count_lines() {
    wc -l <"$1"
}

all_is_there() {
    [[ $(sort -u "$run/arrived" | wc -l) -ge $(count_lines "$run/published") ]]
}

# Publishers end, the bridge delivers what it has, and each message has to have come once.
account() {
    local name deadline missing twice
    : >"$run/enough"
    for name in $(names publish); do
        wait "${pid_of[$name]}" || fail_with_log "$name failed" "$run/$name.log"
        unset "pid_of[$name]"
    done
    deadline=$((SECONDS + 20))
    until all_is_there || ((SECONDS > deadline)); do
        check_parts
        sleep 0.2
    done
    sleep 1     # for a second copy of the last ones
    show_books
    sort "$run/published" >"$run/published.sorted"
    sort "$run/arrived" >"$run/arrived.sorted"
    missing=$(uniq "$run/arrived.sorted" | comm -23 "$run/published.sorted" -)
    twice=$(uniq -d "$run/arrived.sorted")
    printf '\npublished %d, arrived %d, missing %d, more than once %d\n' \
        "$(count_lines "$run/published")" "$(count_lines "$run/arrived")" \
        "$(grep -c . <<<"$missing")" "$(grep -c . <<<"$twice")"
    stop rkbridge 30 || fail_with_log "rkbridge ended with $?" "$run/rkbridge.log"
    [[ -s $run/published && -z $missing$twice ]] ||
        fail "not every message arrived exactly once: missing ${missing:-none}, more than once ${twice:-none}"
    say "Every message arrived exactly once."
}

read_options() {
    while (($# > 0)); do
        case $1 in
        --for)
            [[ ${2-} =~ ^[1-9][0-9]{0,6}$ ]] || fail "--for wants a number of seconds"
            seconds=$2
            shift
            ;;
        --build-only) build_only=yes ;;
        --pull-the-plug)
            plug=yes
            programs+=' tests/bench/floor'
            commands+=' python3:python3 java:default-jre-headless mvn:maven'
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 64
            ;;
        esac
        shift
    done
}

main() {
    read_options "$@"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    install_missing
    build_bridge
    [[ $build_only == yes ]] && exit 0
    [[ $plug == yes ]] &&
        exec python3 "$top/contrib/pull_the_plug.py" --build "$build" --seconds "$((seconds > 0 ? seconds : 20))"
    run=$(mktemp -d "${TMPDIR:-/tmp}/rkbridge-quickstart.XXXXXX") || fail "no temporary directory"
    start_redis
    start_bridge
    welcome
    start_consumers
    start_publishers
    watch
    account
}

main "$@"
