#!/bin/sh
# doc/control-socket.md and the control socket: each command and each error code has its place there, and nothing else
# has.
set -u
srcdir=${srcdir:-.}
build=${RKB_BUILD:-.}
doc=$srcdir/doc/control-socket.md
bad=0
same() {        # what, what there is, what the document has
    [ -n "$2" ] || { echo "no $1 found in the source"; bad=1; }
    for word in $2; do
        printf '%s\n' "$3" | grep -qx "$word" || { echo "$doc does not explain the $1 $word"; bad=1; }
    done
    for word in $3; do
        printf '%s\n' "$2" | grep -qx "$word" || { echo "$doc explains the $1 $word, which there is not"; bad=1; }
    done
}
commands=$(sed -n '/^static const struct rkb_command commands/,/^};/s/^    {"\([a-z]*\)",.*/\1/p' \
    "$srcdir/src/control/commands.c")
same command "$commands" "$(sed -n 's/^### \([a-z]*\)$/\1/p' "$doc")"
# Of the words of dead letters' verdicts only those that retry may answer: drops.
codes=$(cat "$srcdir"/src/control/*.c "$srcdir"/src/daemon/admin*.c "$srcdir"/src/daemon/re*.c | tr '\n' ' ' |
    grep -oE -e '(rkb_command_error|answer_error|refuse_rest|rkb_call_deny)\([a-z>-]+, "[a-z_]+"' \
        -e '(refuse|answer)\([a-z>-]+, (lines, )?"[a-z_]+"' -e 'code = [^;"]*"[a-z_]+"' \
        -e '"ERROR [a-z_]+ |left > 0 \? "[a-z]+"' |
    sed 's/ $//; s/"$//; s/.*[ "]//' | sort -u | grep -vx journal_full)
same 'error code' "$(printf '%s\nmissing\n' "$codes")" "$(sed -n '/^## Errors/,$s/^| `\([a-z_]*\)` .*/\1/p' "$doc")"
for word in $commands; do
    "$build/rkbctl" --help | grep -q "^  $word " || { echo "rkbctl --help does not name $word"; bad=1; }
done
exit $bad
