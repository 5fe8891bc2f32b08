#!/usr/bin/env bash
# Builds the release archive of a tag: stripped, with its checksum and its bill of materials, the same bytes from the same sources.
#
#     deploy/release.sh             # of the tag that HEAD has: v0.1.0
#     deploy/release.sh --snapshot  # of any commit with a clean tree, for trying out
#     deploy/release.sh --verify    # builds the archive twice, in two folders, and compares the bytes
#
# The archive is dist/airlock-VERSION-TARGET.tar.gz. Equal bytes need the same rust-toolchain.toml, target and C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

CYCLONEDX_VERSION=${CYCLONEDX_VERSION:-0.5.9}
SNAPSHOT= VERIFY=
for argument in "$@"; do
    case $argument in
        --snapshot) SNAPSHOT=1 ;;
        --verify) VERIFY=1 SNAPSHOT=1 ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit ;;
        *) echo "release.sh: no such argument: $argument (see --help)" >&2; exit 2 ;;
    esac
done

fail() { printf 'release.sh: %s\n' "$*" >&2; exit 1; }

[ -z "$(git status --porcelain)" ] || fail "the tree has changes that are not committed"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
commit=$(git rev-parse --short=12 HEAD)
if [ -z "$SNAPSHOT" ]; then
    git tag --points-at HEAD | grep -qx "v$version" \
        || fail "HEAD has no tag v$version: tag it (git tag -s v$version), or build a snapshot with --snapshot"
    name=$version
else
    name=$version-$commit
fi
target=$(rustc -vV | sed -n 's/^host: //p')
title=airlock-$name-$target

# Everything that a build could take from the machine: the time, paths and compiler flags.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH AIRLOCK_COMMIT=$commit CARGO_INCREMENTAL=0 LC_ALL=C TZ=UTC
unset CARGO_ENCODED_RUSTFLAGS CFLAGS

# Builds in a target folder of its own, and puts the archive into a folder.
build() { # TARGET_DIR FOLDER
    # Of several prefixes that match, rustc takes the last.
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} stage=$2/$title
    RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$PWD=/airlock --remap-path-prefix=$1=/target" \
    CFLAGS="-ffile-prefix-map=$1=/target -ffile-prefix-map=$cargo_home=/cargo" \
    CARGO_TARGET_DIR=$1 cargo build --locked --release --package airlock --bin airlock
    rm -rf "$stage" && mkdir -p "$stage"
    install -m 755 "$1/release/airlock" "$stage/airlock"
    install -m 644 README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$stage/"
    cp "$2/$title.cdx.json" "$stage/airlock.cdx.json"
    tar --create --directory "$2" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar \
        "$title" | gzip --no-name --best > "$2/$title.tar.gz"
    rm -r "$stage"
    (cd "$2" && sha256sum "$title.tar.gz" "$title.cdx.json" > "$title.sha256")
}

# The bill of materials: every crate that the binary is built from, with its version, licence and checksum (CycloneDX 1.5).
bill() { # FOLDER
    local tool=.tools/cyclonedx/bin/cargo-cyclonedx
    [ "$($tool cyclonedx --version 2> /dev/null)" = "cargo-cyclonedx-cyclonedx $CYCLONEDX_VERSION" ] \
        || cargo install --locked --quiet cargo-cyclonedx --version "$CYCLONEDX_VERSION" --root .tools/cyclonedx
    local file=host/airlock/$title.cdx.json
    $tool cyclonedx --manifest-path host/airlock/Cargo.toml --format json --spec-version 1.5 --target "$target" \
        --override-filename "$title.cdx" --quiet
    mkdir -p "$1" && mv "$file" "$1/"
    git ls-files --others --exclude-standard -- 'host/*.cdx.json' 'guest/*.cdx.json' 'tests/*.cdx.json' | xargs -r rm
    # A serial number is random, and identifies nothing.
    python3 - "$1/$title.cdx.json" <<'PYTHON'
import json, os, sys, time
path = sys.argv[1]
with open(path, encoding="utf8") as file:
    bill = json.load(file)
bill.pop("serialNumber", None)
epoch = int(os.environ["SOURCE_DATE_EPOCH"])
bill["metadata"]["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
text = json.dumps(bill, indent=1, sort_keys=True).replace(os.getcwd(), "/airlock")
with open(path, "w", encoding="utf8") as file:
    file.write(text + "\n")
PYTHON
}

bill dist
build "$PWD/target/dist" dist
if [ -n "$VERIFY" ]; then
    mkdir -p target/dist-again && cp "dist/$title.cdx.json" target/dist-again/
    build "$PWD/target/dist-again/target" target/dist-again
    cmp "dist/$title.tar.gz" "target/dist-again/$title.tar.gz" || fail "two builds of the same sources differ"
    printf 'two builds have the same bytes\n'
fi
printf '%s\n' "dist/$title.tar.gz"
cat "dist/$title.sha256"
