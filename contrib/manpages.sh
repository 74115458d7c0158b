#!/bin/sh
# manpages.sh -- what the manual says of settings, commands and metrics is what the program's tables say.
#
#     contrib/manpages.sh [--write] [BUILD]
#
# BUILD is where rkbridge and rkbctl are built; . without it. Says where a page differs, and exits with 1; with --write
# it mends the page. From the tables are:
#
#     doc/rkbridge.yaml.5   under each setting its facts, and the list of what a reload takes: rkbridge --help-config
#     doc/rkbctl.1          each command's arguments, what it does and its right:              rkbctl --help-commands
#     doc/rkbridge.8        the list of metrics:                                               rkbridge --help-metrics
#     doc/metrics.md        its table:                                                         rkbridge --help-metrics
#
# In a page that is a line with the comment `table` at its end, the heading above it, and what stands between the
# comments BEGIN and END. All else is by hand, and stays. A setting or command without an entry gets one from --write,
# to be gone on with.
set -u
here=$(dirname "$0")
top=$here/..
write=no
[ "${1-}" != --write ] || { write=yes; shift; }
build=${1-.}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

"$build/rkbridge" --help-config >"$dir/settings" && "$build/rkbctl" --help-commands >"$dir/commands" &&
    "$build/rkbridge" --help-metrics >"$dir/metrics" || exit 1
for table in settings commands metrics; do
    [ -s "$dir/$table" ] || { echo "the program shows no $table"; exit 1; }
done

# The page as it is to be is in $dir/page.
compare() { # page
    cmp -s "$top/$1" "$dir/page" && return
    if [ $write = yes ]; then
        cat "$dir/page" >"$top/$1" && echo "$1 is mended"
        return
    fi
    diff -u "$top/$1" "$dir/page" | tail -n +3
    echo "$1 is not what the program says. To mend it: contrib/manpages.sh --write BUILD"
    bad=1
}
# What only a hand can mend goes first: with that nothing is written.
page() { # kind, page
    if awk -v kind="$1" -v page="$2" -f "$here/manpages.awk" "$dir/$1" "$top/$2" >"$dir/page"; then
        compare "$2"
    else
        bad=1
    fi
}
page settings doc/rkbridge.yaml.5
page commands doc/rkbctl.1
page metrics doc/rkbridge.8
awk -v table="$dir/metrics" '
    /^[|] name [|] type/ { while ((getline row <table) > 0) print row; within = 1 }
    /^$/ { within = 0 }
    !within' "$top/doc/metrics.md" >"$dir/page"
compare doc/metrics.md
exit $bad
