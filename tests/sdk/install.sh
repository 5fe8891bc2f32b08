#!/usr/bin/env bash
# Installs the official OpenAI packages and an agent framework, pinned, into .tools/: what the end-to-end tests in
# e2e/sdk.rs run.
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

if ! fresh "$tools/python/stamp" "$here/requirements.txt"; then
    need python3 "install Python 3.11 or later with venv (Debian: apt-get install python3-venv)"
    rm -rf "$tools/python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/python/stamp"
fi

if ! fresh "$tools/node/stamp" "$here/package-lock.json"; then
    need npm "install Node.js 20 or later (Debian: apt-get install npm)"
    rm -rf "$tools/node"
    mkdir -p "$tools/node"
    cp "$here/package.json" "$here/package-lock.json" "$tools/node/"
    npm ci --prefix "$tools/node" --no-audit --no-fund --loglevel=error
    cp "$here/package-lock.json" "$tools/node/stamp"
fi
