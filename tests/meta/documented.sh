#!/bin/sh
# What the program knows, the documents name: every setting in the sample, every field of the books, every exit code and
# every option in the manual; and no document names a file that does not exist. (What is made from tables:
# tests/meta/manpages.sh.)
set -u
srcdir=${srcdir:-.}
build=${RKB_BUILD:-.}
bad=0
miss() {
    echo "$1"
    bad=1
}
settings=$("$build/rkbridge" --help-config | sed -n 's/^\([a-z_*]*\(\.[a-z_*]*\)*\)\($\| .*\)/\1/p' | grep -E '^[a-z]')
[ "$(printf '%s\n' "$settings" | wc -l)" -gt 20 ] || miss "rkbridge --help-config shows too few settings"
for setting in $settings; do
    last=${setting##*.}
    grep -q "$last" "$srcdir/etc/rkbridge.yaml" || miss "etc/rkbridge.yaml does not name $setting"
done
for field in $(sed -n 's/^    X(\([a-z_]*\), .*/\1/p' "$srcdir/src/control/stats.h"); do
    grep -q "$field" "$srcdir/doc/operations.md" || miss "doc/operations.md does not name $field"
done
for code in $(sed -n 's/^#define RKB_EXIT_[A-Z]* *\([0-9]*\).*/\1/p' "$srcdir/src/daemon/bridge.h"); do
    grep -qE "^\.It( Er| Li)? $code|^\.It $code" "$srcdir/doc/rkbridge.8" ||
        miss "doc/rkbridge.8 does not explain exit code $code"
done
options() { # program's words, page
    for option in $(printf '%s' "$1" | grep -oE -- '--[a-z]+(-[a-z]+)*' | sort -u); do
        grep -qE "^[.]It .*Fl ${option#-}( |$)" "$srcdir/$2" || miss "$2 does not explain $option"
    done
}
options "$("$build/rkbridge" --help)" doc/rkbridge.8
options "$("$build/rkbctl" --help)" doc/rkbctl.1
files=$(grep -ohE '(^|[^/A-Za-z0-9_.-])(src|doc|etc|tests|contrib)/[A-Za-z0-9_./-]+[A-Za-z0-9]' "$srcdir/README.md" \
    "$srcdir"/doc/*.md | sed 's/^[^a-z]//' | sort -u)
for file in $files; do
    [ -e "$srcdir/$file" ] || miss "a document names $file, which does not exist"
done

# The runbook has a section for each word of a verdict and for each alert, and no other.
rules=$srcdir/contrib/prometheus/rkbridge.rules.yml
sections=$(sed -n 's/^## \([a-z_]*\)$/\1/p' "$srcdir/doc/runbook.md" | sort)
words=$(sed -n 's/^    \(IN_RUNBOOK\|BY_COMMAND\)(\([a-z_]*\), [A-Z].*/\2/p' "$srcdir/src/control/verdict_rules.c")
alerts=$(sed -n 's/^ *runbook: //p' "$rules")
[ "$(printf '%s\n' "$words" | wc -l)" -gt 20 ] || miss "src/control/verdict_rules.c shows too few words"
[ "$(printf '%s\n' "$alerts" | wc -l)" -eq "$(grep -c '^ *- alert: ' "$rules")" ] || miss "an alert names no section"
wanted=$(printf '%s\n' "$words" "$alerts" | sed 's/^doc\/runbook[.]md#//' | sort -u)
for section in $sections $wanted; do
    printf '%s\n' "$sections" | grep -qxF "$section" || miss "doc/runbook.md has no section $section"
    printf '%s\n' "$wanted" | grep -qxF "$section" || miss "no verdict and no alert leads to doc/runbook.md#$section"
done
[ "$(printf '%s\n' "$sections" | uniq -d)" = "" ] || miss "doc/runbook.md has a section twice"
exit $bad
