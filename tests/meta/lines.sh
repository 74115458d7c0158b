#!/bin/sh
# What fits a screen, and one sitting: no line of C, Python, shell or awk over 120 columns, no C file over 600 lines.
set -u
srcdir=${srcdir:-.}
cd "$srcdir" || exit 99
found=$(find src tests contrib \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name '*.awk' \) \
    -exec env LC_ALL=C awk '
    { text = $0; gsub(/[\200-\277]/, "", text) }        # in UTF-8 what goes on with a letter is no column
    length(text) > 120 { print FILENAME ":" FNR ": " length(text) " columns are over 120" }
    FNR == 601 && FILENAME ~ /\.[ch]$/ { print FILENAME ":601: a C file is over 600 lines" }' {} +)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
