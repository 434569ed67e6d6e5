#!/usr/bin/env bash
# Sets up .venv; with "parts" the real parts that end-to-end tests use, with "docs" Sphinx.
# A fresh Debian 12 needs nothing else; it asks apt-get for what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
    else echo "set-up: this needs root once; run: sudo $*" >&2; exit 1
    fi
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

install() {
    local missing=() package
    for package in "$@"; do installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "set-up: installing ${missing[*]}"
    # The tests start private instances; Debian's own services must not start.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"; made=1
    fi
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    if [ -n "$made" ]; then as_root rm -f "$policy"; fi
}

if [ "${1:-}" = parts ]; then
    install postfix swaks slapd ldap-utils dovecot-imapd dovecot-lmtpd iproute2 util-linux mount \
        libnet-ssleay-perl libauthen-sasl-perl libio-socket-inet6-perl libnet-dns-perl
    exit 0
fi

pip_install() {
    .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt \
        --config-settings editable_mode=compat "$@"
}

if [ "${1:-}" = docs ]; then
    .venv/bin/python -c 'import sphinx' 2>/dev/null || pip_install -e '.[docs]'
    exit 0
fi

python=/usr/bin/python3.11
if [ ! -x "$python" ]; then python=$(command -v python3.11 || true); fi
if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    install python3 python3-venv
    python=/usr/bin/python3
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip_install -e '.[test]'
touch .venv/.set-up
