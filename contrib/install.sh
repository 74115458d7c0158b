#!/usr/bin/env bash
# install.sh -- installs Debian packages that are missing, and starts no service of theirs, now or at the next boot.
#
#     contrib/install.sh PACKAGE ...
#
# Needs root only where something is missing. Prints what it installs; apt-get's words are shown where it fails.
set -u -o pipefail

policy=/usr/sbin/policy-rc.d
ours=no
log=$(mktemp)
# A package that brings a service starts it when it is installed, unless this file says no.
trap 'rm -f "$log"; [[ $ours == yes ]] && rm -f "$policy"' EXIT

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *' installed' ]] || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (Debian's names), and there is no apt-get to install them with" >&2
    exit 1
fi
if ((EUID != 0)); then
    echo "missing: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "Installing ${missing[*]}"
if [[ ! -e $policy && ! -L $policy ]]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    echo "apt-get failed; its last lines:" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
if [[ " ${missing[*]} " == *' redis-server '* && -d /run/systemd/system ]]; then
    systemctl disable redis-server >/dev/null 2>&1
fi
exit 0
