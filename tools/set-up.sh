#!/usr/bin/env bash
# Sets up .venv; with "parts" the real parts that end-to-end tests use, with "bounces" the published
# bounces that their reader is tested with, with "spf" the test suite of RFC 7208, with "clients" the
# programs that the compatible endpoints are tested with, with "docs" Sphinx, with "fuzz" atheris.
# As root it asks apt-get for what is missing; an ordinary user is told what it is.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "set-up: $*" >&2; }

may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# The packages of those named that are not installed, in `missing`.
look_for() {
    missing=()
    local package
    for package in "$@"; do installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ]
}

# The tests start private instances; Debian's own services must not start, now or at the next boot.
policy=/usr/sbin/policy-rc.d
services=(postfix slapd dovecot unbound nsd rspamd opendkim clamav-daemon clamav-freshclam clamav-milter prometheus)

install() {
    say "installing $*"
    local service new=()
    for service in "${services[@]}"; do
        installed "$service" || installed "$service-core" || new+=("$service")
    done
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    # --no-remove: a mail server that somebody uses here must not give way to ours.
    if ! as_root apt-get update -qq || ! as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-remove --no-install-recommends "$@" >/dev/null; then
        say "apt-get could not install $*; the reason stands above"
        exit 1
    fi
    if [ -d /run/systemd/system ]; then
        for service in "${new[@]}"; do as_root systemctl disable -q "$service" 2>/dev/null || true; done
    fi
}

if [ "${1:-}" = parts ]; then
    look_for postfix swaks fetchmail isync mutt tmux slapd ldap-utils dovecot-imapd dovecot-lmtpd dovecot-pop3d unbound nsd iproute2 util-linux mount \
        libnet-ssleay-perl libauthen-sasl-perl libio-socket-inet6-perl libnet-dns-perl \
        rspamd opendkim clamav-daemon clamav-milter prometheus chromium fonts-dejavu-core libfaketime || exit 0
    if may_be_root; then
        install "${missing[@]}"
    else
        say "not installed: ${missing[*]}"
        say "tests that need them, or root, are skipped; to install them, once, as root: $PWD/tools/set-up.sh parts"
    fi
    exit 0
fi

pip_install() {
    if ! .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt --use-pep517 \
        --config-settings editable_mode=compat "$@"; then
        say "pip could not install what is needed; the reason stands above"
        exit 1
    fi
}

if [ "${1:-}" = docs ]; then
    .venv/bin/python -c 'import sphinx' 2>/dev/null || pip_install -e '.[docs]'
    exit 0
fi

if [ "${1:-}" = fuzz ]; then
    # Where it cannot be had, hypothesis takes its place.
    .venv/bin/python -c 'import atheris' 2>/dev/null || (pip_install -e '.[fuzz]') || true
    exit 0
fi

# pip-audit needs much, which would be in our way; without it the dates in constraints.txt decide.
if [ "${1:-}" = audit ]; then
    [ -x .venv/audit/bin/pip-audit ] || {
        .venv/bin/python -m venv .venv/audit &&
            .venv/audit/bin/python -m pip install -q --disable-pip-version-check 'pip-audit==2.10.1'
    } || say "pip-audit cannot be installed; the dates in constraints.txt decide"
    exit 0
fi

# What is in a source package, and not in what pip installs of it: a directory of it becomes .venv/share/NAME.
share() {
    local name=$1 package=$2 directory=$3 what=$4
    [ ! -d ".venv/share/$name" ] || return 0
    draft=$(mktemp -d ".venv/$name.XXXXXX")
    trap 'rm -rf "$draft"' EXIT
    if .venv/bin/python -m pip download -q --disable-pip-version-check -c constraints.txt --no-deps \
        --no-binary "$package" -d "$draft" "$package" && tar -xzf "$draft"/*.tar.gz -C "$draft"; then
        mkdir -p .venv/share && mv "$draft"/*/"$directory" ".venv/share/$name"
    else
        say "the source package of $package cannot be had; tests that need its $what are skipped"
    fi
}

# Other services' own client programs, which need versions of their own: an environment beside ours.
clients() {
    ! cmp -s tools/clients.txt .venv/clients/installed.txt || return 0
    rm -rf .venv/clients
    draft=$(mktemp -d .venv/clients.XXXXXX)
    trap 'rm -rf "$draft"' EXIT
    # An environment cannot be moved; what it has to have is looked for elsewhere first.
    if .venv/bin/python -m pip download -q --disable-pip-version-check -d "$draft" -r tools/clients.txt &&
        .venv/bin/python -m venv .venv/clients &&
        .venv/clients/bin/python -m pip install -q --disable-pip-version-check --no-index -f "$draft" \
            -r tools/clients.txt; then
        cp tools/clients.txt .venv/clients/installed.txt
        return 0
    fi
    rm -rf .venv/clients
    say "the clients in tools/clients.txt cannot be had; tests that need them are skipped"
}

case "${1:-}" in
clients) clients; exit 0 ;;
bounces) share bounces flufl.bounce tests bounces; exit 0 ;;
spf) share spf pyspf test "test suite"; exit 0 ;;
esac

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    # constraints.txt was made with 3.11.
    for python in /usr/bin/python3.11 python3.11 /usr/bin/python3 python3; do
        if usable "$python"; then return 0; fi
    done
    return 1
}

if ! find_python; then
    if may_be_root; then install python3 python3-venv; fi
    if ! find_python; then
        say "this needs Python 3.11 or later with venv; on Debian 12, once, as root: apt-get install python3-venv"
        exit 1
    fi
fi
# A set-up that was interrupted may have left a .venv without pip.
.venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
pip_install -e '.[test]'
touch .venv/.set-up
