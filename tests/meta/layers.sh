#!/bin/sh
# Data flows left to right and the includes prove it: a stage includes its own headers and base's, never a sibling's.
# Only the daemon (the joints) and the tools know several stages.
set -u
srcdir=${srcdir:-.}
cd "$srcdir/src" || exit 99
bad=0
check() { # stage, what it may include
    found=$(grep -nHE '^#include "' "$1"/*.[ch] | grep -vE "#include \"($2)/")
    if [ -n "$found" ]; then
        printf '%s may include only %s:\n%s\n' "$1/" "$2" "$found"
        bad=1
    fi
}
check base 'base'
check redis 'redis|base'
check message 'message|base'
check journal 'journal|base'
check kafka 'kafka|base'
check control 'control|base'
check config 'config|base|redis|message|kafka'
check tool 'tool|base|redis|message|journal|kafka|control|config'
for stage in */; do
    case $stage in
    base/ | redis/ | message/ | journal/ | kafka/ | control/ | config/ | daemon/ | tool/) ;;
    *) echo "src/$stage is a stage that this test does not know"; bad=1 ;;
    esac
done
exit $bad
