#!/bin/sh
# Builds the release program for a board's architecture and shows that any system there can run it.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/build.sh ARCH [OUT]

Builds the program for ARCH (aarch64, armv7, armv6: targets/README.md says which boards) and copies it to OUT (default:
target/ARCH/scenescribe). scripts/cargo-arm.sh --help says what it needs. Fails if the program is not static, or, for
armv6, if it says that it wants more than an ARMv6 CPU.

PROFILE=dist  build with that profile of Cargo.toml (default: release)
TEXT
}

case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    aarch64|armv7|armv6) arch=$1 ;;
    *) usage >&2; exit 2 ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
profile=${PROFILE:-release}
out=${2:-$root/target/$arch/scenescribe}
program=$("$root/scripts/cargo-arm.sh" --path "$arch" build --profile "$profile" --bin scenescribe)

refuse() {
    echo "build.sh: $program $1" >&2
    exit 1
}

! readelf -lW "$program" | grep -q INTERP || refuse "is not static"
if [ "$arch" = armv6 ]; then
    readelf -A "$program" | grep -q 'Tag_CPU_arch: v6' || refuse "is not marked as ARMv6"
    ! readelf -A "$program" | grep -q 'Tag_Advanced_SIMD_arch' || refuse "is marked as needing NEON"
fi
mkdir -p "$(dirname "$out")"
cp "$program" "$out"
echo "$out: $(stat -c %s "$out") bytes, static, $(readelf -hW "$out" | sed -n 's/^ *Machine: *//p')"
