#!/bin/sh
# Each error message of the source matches an entry of doc/troubleshooting.md, and each entry a message of the source;
# each event that wants somebody to look (warn, error) is named there, and no event is named that does not exist. And no
# function takes the words of a message that this compare does not know of (messages.list).
set -u
srcdir=${srcdir:-.}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
meta=$srcdir/tests/meta
list=$meta/messages.list
page=$srcdir/doc/troubleshooting.md
miss() {
    echo "$1"
    bad=1
}

# ---- the functions ----

grep -E '^(compared|part|other) ' "$list" | cut -d ' ' -f 2- | tr ' ' '\n' | sort >"$dir/known"
[ -z "$(uniq -d "$dir/known")" ] || miss "tests/meta/messages.list has one twice: $(uniq -d "$dir/known")"
while IFS=: read -r file name; do
    [ -n "$name" ] || { name=$file; file='src/*/*.[ch]'; }
    # shellcheck disable=SC2086 # a pattern
    (cd "$srcdir" && grep -qE "(^|[ *])$name\(" $file) || miss "tests/meta/messages.list: no such function: $name"
done <"$dir/known"
awk -v list="$list" -f "$meta/wrappers.awk" "$srcdir"/src/*/*.[ch] | sort -u | while read -r kind which; do
    grep -qxF -e "$which" -e "${which#*:}" "$dir/known" || echo "$kind $which"
done >"$dir/unknown"
formats=$(sed -n 's/^format //p' "$dir/unknown")
[ -z "$formats" ] || miss "takes a format, and tests/meta/messages.list does not say what becomes of it: $formats"
texts=$(sed -n 's/^text //p' "$dir/unknown" | paste -sd ' ')
new=$(awk -v only="$texts" -f "$meta/messages.awk" "$srcdir"/src/*/*.c)
[ -z "$new" ] || miss "given to functions that hand it on and that tests/meta/messages.list does not have:
$new"

# ---- messages and entries ----

awk -v list="$list" -f "$meta/messages.awk" "$srcdir"/src/*/*.c >"$dir/messages" || bad=1
[ "$(wc -l <"$dir/messages")" -gt 600 ] || miss "the source shows too few messages: is messages.awk out of date?"
# shellcheck disable=SC2016 # backticks of the page
sed -n 's/^\* `` \(.*\) ``\(: .*\)*$/\1/p; s/^\* `\([^`]*\)`\(: .*\)*$/\1/p' "$page" >"$dir/entries"
awk -F '\t' '
FNR == NR {
    words = $0
    gsub(/\.\.\./, "", words)
    # So few words would match too much: this very message then. But memory and the system are one matter each.
    plain = words !~ /[A-Za-z]+[^A-Za-z]+[A-Za-z]+[^A-Za-z]+[A-Za-z]/
    if ($0 ~ /(: cannot |no memory|no descriptor)\.\.\.$/)
        plain = 0
    if (length(words) < 7) {
        print "doc/troubleshooting.md: the entry \"" $0 "\" would match nearly all"
        bad = 1
    }
    if ($0 in entry) {
        print "doc/troubleshooting.md has the entry twice: " $0
        bad = 1
    }
    pattern = $0
    gsub(/\.\.\./, "\001", pattern)
    gsub(/[][\\.*+?(){}|^$]/, "\\\\&", pattern)
    gsub(/\001/, ".*", pattern)
    if (plain)
        gsub(/\.\*/, "[.][.][.]", pattern)
    entry[$0] = "^" pattern "$"
    next
}
{
    found = 0
    for (one in entry)
        if ($2 ~ entry[one])
            used[one] = found = 1
    if (!found) {
        print "doc/troubleshooting.md has no entry for what " $1 " says: " $2
        bad = 1
    }
}
END {
    for (one in entry)
        if (!(one in used)) {
            print "doc/troubleshooting.md has an entry that no message matches: " one
            bad = 1
        }
    exit bad
}' "$dir/entries" "$dir/messages" || bad=1

# ---- the index at the top ----

sed -n 's/^## //p' "$page" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9\n-' | sort >"$dir/sections"
grep -o '](#[a-z0-9-]*)' "$page" | sed 's/^](#//; s/)$//' | sort -u >"$dir/links"
[ -z "$(diff "$dir/sections" "$dir/links")" ] || miss "the index of doc/troubleshooting.md and its sections differ:
$(diff "$dir/sections" "$dir/links")"

# ---- events ----

# shellcheck disable=SC2016 # backticks of the page
sed -n 's/^| `\([a-z_]*\)` | [^|]* | \([^|]*\) |.*/\1 \2/p' "$srcdir/doc/events.md" >"$dir/events"
while read -r event level; do
    case $level in
    *warn* | *error*) grep -q "\`$event\`" "$page" || miss "doc/troubleshooting.md does not name event=$event" ;;
    esac
done <"$dir/events"
# shellcheck disable=SC2016 # backticks of the page
awk '/^\* Events:/ { on = 1 } !/^\* Events:/ && !/^  / { on = 0 } on' "$page" | tr -c 'a-z_`' '\n' |
    sed -n 's/^`\([a-z_]*\)`$/\1/p' | sort -u >"$dir/named"
while read -r event; do
    grep -q "^$event " "$dir/events" ||
        miss "doc/troubleshooting.md names event=$event, which doc/events.md does not have"
done <"$dir/named"
exit $bad
