#!/usr/bin/env bash
# Builds the example policy in JavaScript into target/policies-js/haiku.wasm, with a pinned componentize-js that is
# installed into .tools/haiku. If nothing has changed it does nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=$root/.tools/haiku
out=$root/target/policies-js
mkdir -p "$tools" "$out"

# The tool needs Node.js 20. If the system's is older, one from the npm registry is used for this build alone.
if ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2> /dev/null; then
    command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or later (Debian: apt-get install npm)" >&2; exit 1; }
    case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
    if [ ! -x "$tools/node/node_modules/node-linux-$arch/bin/node" ]; then
        echo "installing Node.js 20 into .tools/haiku/node/"
        npm install --prefix "$tools/node" --no-save --no-audit --no-fund --loglevel=error "node-linux-$arch@20.8.0"
    fi
    PATH=$tools/node/node_modules/node-linux-$arch/bin:$PATH
fi

# The stamp is written last, so that an interrupted installation is repeated.
if ! cmp -s "$tools/stamp" "$here/package-lock.json"; then
    command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or later (Debian: apt-get install npm)" >&2; exit 1; }
    echo "installing componentize-js into .tools/haiku/"
    rm -rf "$tools/node_modules"
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    npm ci --prefix "$tools" --no-audit --no-fund --loglevel=error
    cp "$here/package-lock.json" "$tools/stamp"
fi

# The digest of all inputs of the component.
inputs=$(cat "$here/haiku.js" "$here/build.sh" "$here/package-lock.json" "$root"/wit/*.wit | sha256sum)
if [ ! -f "$out/haiku.wasm" ] || [ "$(cat "$out/stamp" 2> /dev/null)" != "$inputs" ]; then
    echo "building target/policies-js/haiku.wasm"
    rm -f "$out/stamp"
    # Without the engine's features the component imports nothing. The tool has no option that disables all of them.
    "$tools/node_modules/.bin/componentize-js" "$here/haiku.js" \
        --wit "$root/wit" --world-name policy \
        --disable stdio random clocks http fetch-event \
        --out "$out/haiku.wasm.new"
    mv "$out/haiku.wasm.new" "$out/haiku.wasm"
    echo "$inputs" > "$out/stamp"
fi
