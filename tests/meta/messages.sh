#!/bin/sh
# Each error message of the source matches an entry of doc/troubleshooting.md, and each entry a message of the source; each
# event that wants somebody to look (warn, error) is named there, and no event is named that does not exist.
set -u
srcdir=${srcdir:-.}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
page=$srcdir/doc/troubleshooting.md
awk -f "$srcdir/tests/meta/messages.awk" "$srcdir"/src/*/*.c >"$dir/messages" || bad=1
sed -n 's/^\* `` \(.*\) ``$/\1/p; s/^\* `\([^`]*\)`$/\1/p' "$page" >"$dir/entries"
[ "$(wc -l <"$dir/messages")" -gt 400 ] || { echo "the source shows too few messages: is tests/meta/messages.awk out of date?"; bad=1; }
awk -F '\t' '
FNR == NR {
    words = $0
    gsub(/\.\.\./, "", words)
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
    entry[$0] = "^" pattern "$"
    next
}
{
    found = 0
    for (one in entry)
        if ($2 ~ entry[one]) {
            used[one] = found = 1
        }
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
grep '^| `[a-z_]*` |' "$srcdir/doc/events.md" | awk -F ' *[|] *' '{ gsub(/`/, "", $2); print $2, $4 }' >"$dir/events"
for event in $(grep -E 'warn|error' "$dir/events" | cut -d ' ' -f 1); do
    grep -q "\`$event\`" "$page" || { echo "doc/troubleshooting.md does not name event=$event"; bad=1; }
done
for event in $(awk '/^\* Events:/ { on = 1 } !/^\* Events:/ && !/^  / { on = 0 } on' "$page" | grep -o '`[a-z_]*`' | tr -d '`' | sort -u); do
    grep -q "^$event " "$dir/events" || { echo "doc/troubleshooting.md names event=$event, which doc/events.md does not have"; bad=1; }
done
exit $bad
