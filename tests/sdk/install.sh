#!/usr/bin/env bash
# Installs the clients that the end-to-end tests in e2e/sdk.rs run, pinned, into .tools/: the official packages and agent
# frameworks (python/, node/), and Claude Code (claude/), which needs 400 MB.
# With nothing changed it does nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../.." && pwd)/.tools
mkdir -p "$tools"

# A stamp is written last, so that what was interrupted is done again.
fresh() { [ -f "$1" ] && cmp -s "$1" "$2"; }

need() {
    command -v "$1" > /dev/null || { echo "$1 is missing: $2" >&2; exit 1; }
}

# The packages of a package-lock.json in the folder $1, into the folder $2 of the tools.
node_packages() {
    fresh "$tools/$2/stamp" "$1/package-lock.json" && return
    need npm "install Node.js 20 or later (Debian: apt-get install npm)"
    rm -rf "${tools:?}/$2"
    mkdir -p "$tools/$2"
    cp "$1/package.json" "$1/package-lock.json" "$tools/$2/"
    npm ci --prefix "$tools/$2" --no-audit --no-fund --loglevel=error
    cp "$1/package-lock.json" "$tools/$2/stamp"
}

if ! fresh "$tools/python/stamp" "$here/requirements.txt"; then
    need python3 "install Python 3.11 or later with venv (Debian: apt-get install python3-venv)"
    rm -rf "$tools/python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --no-compile --disable-pip-version-check \
        --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/python/stamp"
fi

node_packages "$here" node
node_packages "$here/claude" claude
