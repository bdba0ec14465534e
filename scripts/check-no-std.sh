#!/bin/sh
# Builds the decoder of serial frames for microcontrollers, without an operating system and without a heap.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/check-no-std.sh [TARGET...]

Builds tests/receiver for each bare-metal TARGET (default: thumbv6m-none-eabi, a Cortex-M0; and thumbv7em-none-eabihf, a
Cortex-M4F). A target that rustup has installed is used as it is; where the compiler has its sources instead (rustup
component rust-src, Debian's rust-src, or the toolchain of scripts/setup-arm.sh), core is built from them. Where there is
neither, the package is only checked for this machine, under #![no_std], and that is said.
TEXT
}

case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- thumbv6m-none-eabi thumbv7em-none-eabihf
package=tests/receiver/Cargo.toml
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/receiver}"
rustlib=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib

for target in "$@"; do
    if [ -d "$rustlib/$target/lib" ]; then
        cargo build --quiet --release --locked --manifest-path "$package" --target "$target"
        echo "built for $target"
    elif [ -d "$rustlib/src/rust/library/core" ]; then
        RUSTC_BOOTSTRAP=1 cargo build --quiet --release --locked --manifest-path "$package" --target "$target" -Zbuild-std=core
        echo "built for $target, with core from its sources"
    else
        cargo check --quiet --locked --manifest-path "$package"
        echo "checked under no_std for this machine only: neither $target nor rust-src is installed" >&2
    fi
done
