#!/usr/bin/env bash
# Set cisweave up in .venv: Python packages as pinned in constraints.txt, the package itself, BEDOPS where possible.
# Safe to run again: it does nothing while the pins are unchanged.
#
#   PYTHON       the Python to use (default: the first of python3, python3.14 ... python3.11 that will do)
#   TORCH_INDEX  where PyTorch comes from: cpu, cu126, cu128 ... (a build on download.pytorch.org), the address of a
#                package index, or pip (pip's own index; on Linux x86 that is the CUDA build, several GB).
#                Default: cpu where the machine has no NVIDIA driver, else pip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
LOG=$VENV/setup.log
STAMP=$VENV/setup.stamp
NEEDED_GB_CPU=4
NEEDED_GB_CUDA=10

say() { printf 'cisweave set-up: %s\n' "$*"; }
fail() {
    printf 'cisweave set-up: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local candidate path
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        if "$path" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            printf '%s\n' "$path"
            return
        fi
    done
    local found
    found=$("${PYTHON:-python3}" -c 'import platform; print(platform.python_version())' 2>/dev/null) || found=none
    fail "Python 3.11 to 3.14 is needed and was not found (${PYTHON:-python3}: $found); install one, or name it: make demo PYTHON=/path/to/python3.12"
}

check_venv_module() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    fail "Python's venv module is missing; install it, for example: sudo apt-get install $(basename "$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')")-venv"
}

check_room() { # GB needed
    local free
    free=$(($(df -Pk . | awk 'NR == 2 { print $4 }') / 1024 / 1024))
    if [ "$free" -lt "$1" ]; then
        fail "about $1 GB of free disk space are needed here and there are $free GB; free some, or clone cisweave to a larger disk"
    fi
}

# Which PyTorch: the CPU build is enough, and much smaller, where there is no NVIDIA driver.
torch_options() {
    local index=${TORCH_INDEX:-}
    if [ -z "$index" ]; then
        index=pip
        if [ ! -e /proc/driver/nvidia ] && [ "$(uname -s)" = Linux ] && reachable https://download.pytorch.org/whl/cpu/; then
            index=cpu
        fi
    fi
    case $index in
        pip) ;;
        http*://* | file://*) printf '%s\n' --index-url "$index" ;;
        *) printf '%s\n' --extra-index-url "https://download.pytorch.org/whl/$index" ;;
    esac
}

reachable() {
    "$PY" - "$1" 2>/dev/null <<'PYTHON'
import sys
import urllib.request

urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=4)
PYTHON
}

install() { # what it is for, then pip's arguments
    local what=$1
    shift
    say "installing $what"
    # An index that answers only in part makes pip see a conflict where there is none: the second try decides.
    for _ in 1 2; do
        "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --retries 2 "$@" >>"$LOG" 2>&1 && return
    done
    if grep -qi 'no space left\|disk quota' "$LOG"; then
        fail "the disk is full; free some space (about $NEEDED_GB_CPU GB are needed) and run the same command again"
    elif grep -qi 'NewConnectionError\|ConnectTimeout\|name resolution\|Network is unreachable\|ProxyError\|SSLError\|Could not fetch URL\|No matching distribution' "$LOG"; then
        fail "pip could not download $what; check the network (or pip's index and proxy settings) and run the same command again. Details: $LOG"
    fi
    fail "pip could not install $what; the end of $LOG says why"
}

# BEDOPS finds closest TSS; cisweave's own search gives the same answer where it cannot be had.
get_bedops() {
    command -v closest-features >/dev/null && return
    if command -v conda >/dev/null; then
        say "installing BEDOPS with conda"
        if timeout 300 conda create --yes --quiet --prefix "$PWD/$VENV/bedops" -c conda-forge -c bioconda bedops >>"$LOG" 2>&1; then
            ln -sf ../bedops/bin/closest-features ../bedops/bin/sort-bed "$VENV/bin/"
            return
        fi
    fi
    if command -v apt-get >/dev/null; then
        local root=()
        [ "$(id -u)" -eq 0 ] || root=(sudo -n)
        say "installing BEDOPS with apt-get"
        {
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive timeout 120 apt-get update -qq
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq --no-install-recommends bedops
        } </dev/null >>"$LOG" 2>&1 || true
        command -v closest-features >/dev/null && return
    fi
    say "BEDOPS is not here and could not be installed; cisweave uses its own search, which gives the same rows"
}

fingerprint() {
    { sha256sum constraints.txt pyproject.toml scripts/setup.sh; printf '%s|%s|%s\n' "${TORCH_INDEX:-}" "${PYTHON:-}" "$PWD"; } | sha256sum | cut -d' ' -f1
}

main() {
    local started=$SECONDS stamp PY torch
    stamp=$(fingerprint)
    if [ -x "$VENV/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$stamp" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
        exit 0
    fi
    if [ -L "$VENV" ]; then
        fail "$VENV is a link to $(readlink "$VENV"), which was set up for another checkout; remove the link, and set up again"
    fi
    PY=$(find_python)
    check_venv_module "$PY"
    mapfile -t torch < <(torch_options)
    # pip's own PyTorch brings CUDA along on an ordinary Linux machine; builds named by hand are left to their user.
    if [ ! -x "$VENV/bin/torchrun" ]; then
        check_room "$([ -e /proc/driver/nvidia ] && echo $NEEDED_GB_CUDA || echo $NEEDED_GB_CPU)"
    fi
    say "Python $("$PY" -c 'import platform; print(platform.python_version())') in $VENV; this takes a few minutes once"
    rm -f "$STAMP"
    if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$VENV"
        "$PY" -m venv "$VENV" || fail "the virtual environment $VENV could not be made; see the message above"
    fi
    : >"$LOG"
    install "the build tools" -c constraints.txt setuptools
    install "PyTorch" -c constraints.txt ${torch[@]+"${torch[@]}"} torch
    install "the packages in constraints.txt" -c constraints.txt --no-build-isolation -e '.[workflow,dev,docs]'
    get_bedops
    printf '%s\n' "$stamp" >"$STAMP.partial"
    mv "$STAMP.partial" "$STAMP"
    printf '%s\n' "$((SECONDS - started))" >"$VENV/setup.seconds"
    say "done in $((SECONDS - started)) s"
}

main
