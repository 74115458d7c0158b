#!/bin/sh
# The one list of event words is doc/events.md: each event of the source has its row there, with the objects and the
# levels that the source has, and no row names an event that does not exist.
set -u
srcdir=${srcdir:-.}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
miss() {
    echo "$1"
    bad=1
}
awk -f "$srcdir/tests/meta/events.awk" "$srcdir"/src/*/*.c | sort -u >"$dir/source"
[ "$(wc -l <"$dir/source")" -gt 60 ] || miss "the source shows too few events: is tests/meta/events.awk out of date?"
unread=$(sed -n 's/^UNREAD //p' "$dir/source")
[ -z "$unread" ] || miss "tests/meta/events.awk cannot read the event of: $unread"
# A line for each word of a row: WORD LEVELS OBJECTS, both sorted and joined by commas.
row="^| \`[a-z_]*\` |"
grep "$row" "$srcdir/doc/events.md" | awk -F ' *[|] *' '
function sorted(list,    parts, count, i, j, swap, text) {
    count = split(list, parts, ", *")
    for (i = 2; i <= count; i++)
        for (j = i; j > 1 && parts[j - 1] > parts[j]; j--) {
            swap = parts[j]
            parts[j] = parts[j - 1]
            parts[j - 1] = swap
        }
    text = parts[1]
    for (i = 2; i <= count; i++)
        text = text "," parts[i]
    return text
}
{ gsub(/`/, "", $2); print $2, sorted($4), sorted($3), ($5 == "" ? "empty" : "said") }' | sort >"$dir/list"
cut -d ' ' -f 1 "$dir/list" | uniq -d | sed 's/.*/doc\/events.md has event=& twice/' >"$dir/twice"
[ ! -s "$dir/twice" ] || miss "$(cat "$dir/twice")"
for word in $(grep -v '^UNREAD' "$dir/source" | cut -d ' ' -f 1 | sort -u); do
    levels=$(grep "^$word " "$dir/source" | cut -d ' ' -f 2 | sort -u | paste -sd ,)
    objects=$(grep "^$word " "$dir/source" | cut -d ' ' -f 3 | sort -u | paste -sd ,)
    told=$(grep "^$word " "$dir/list")
    case $told in
    "$word $levels $objects said") ;;
    "") miss "doc/events.md has no row for event=$word (object $objects, level $levels)" ;;
    *empty) miss "doc/events.md does not say when event=$word comes" ;;
    *) case "$told $objects" in
       "$word $levels "*" said "*\?*) ;;        # made at run time: not compared
       *) miss "doc/events.md says of event=$word (level, object): ${told#* }; the source: $levels $objects" ;;
       esac ;;
    esac
done
for word in $(cut -d ' ' -f 1 "$dir/list"); do
    grep -q "^$word " "$dir/source" || miss "doc/events.md names event=$word, which the source does not have"
done
exit $bad
