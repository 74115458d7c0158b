#!/bin/sh
# The man pages are in order: mandoc's lint, down to matters of style, but for lines longer than 80 bytes; and what they
# refer to need not be installed here.
set -u
srcdir=${srcdir:-.}
if ! command -v mandoc >/dev/null; then
    echo "NOT RUN: there is no mandoc here, so the man pages were not looked at"
    exit 77
fi
bad=0
for page in "$srcdir"/doc/*.[158]; do
    found=$(mandoc -Tlint -W style "$page" 2>/dev/null | grep -vE 'longer than 80 bytes|referenced manual not found')
    [ -z "$found" ] || { echo "$found"; bad=1; }
done
exit $bad
