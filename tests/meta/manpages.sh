#!/bin/sh
# The man pages and doc/metrics.md say of settings, commands and metrics what the program's tables say, and of no
# others.
exec "${srcdir:-.}/contrib/manpages.sh" "${RKB_BUILD:-.}"
