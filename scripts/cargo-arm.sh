#!/bin/sh
# Runs cargo for an ARM target with the compiler and linker that are at hand, or with a private toolchain.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/cargo-arm.sh [--path] ARCH COMMAND [ARGUMENT...]

Runs `cargo COMMAND` (build, test, check) for ARCH: aarch64, armv7 or armv6. For example
  scripts/cargo-arm.sh armv7 build --release
With --path it prints where the program is that was built, and nothing else on standard output.

Where `rustup target add` can fetch the target and Debian's cross compiler is installed or can be (as root), this is
  cargo COMMAND --config targets/ARCH/cargo.toml
else the compiler is Debian's and the linker is zig, as scripts/setup-arm.sh installs them without root. The two keep
apart folders below CARGO_TARGET_DIR (default: target), since their outputs do not mix.

SCENESCRIBE_TOOLCHAIN=PREFIX  where the private toolchain is or will be (default: target/arm-toolchain); use it in any case
TEXT
}

if [ "${1:-}" = --path ]; then
    shift
    built=$("$0" "$@" --message-format json-render-diagnostics)
    echo "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
    exit
fi
case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    aarch64) compiler=gcc-aarch64-linux-gnu gcc=aarch64-linux-gnu-gcc ;;
    armv7|armv6) compiler=gcc-arm-linux-gnueabihf gcc=arm-linux-gnueabihf-gcc ;;
    *) usage >&2; exit 2 ;;
esac
[ $# -ge 2 ] || { usage >&2; exit 2; }

root=$(cd "$(dirname "$0")/.." && pwd)
arch=$1
command=$2
shift 2
triple=$(sed -n 's/^target = "\(.*\)"/\1/p' "$root/targets/$arch/cargo.toml")
folder=${CARGO_TARGET_DIR:-$root/target}

has_target() {
    command -v rustup >/dev/null || return 1
    rustup target list --installed | grep -qx "$triple" || rustup target add "$triple" >&2
}

has_compiler() {
    command -v "$gcc" >/dev/null && return
    [ "$(id -u)" = 0 ] || { echo "cargo-arm.sh: without $compiler (apt-get install $compiler)" >&2; return 1; }
    apt-get -qq install -y --no-install-recommends "$compiler" >&2
}

# tract's NEON kernels stay out of an ARMv6 program: cargo takes tract-linalg from a copy without them.
without_neon() {
    copy=$folder/armv6/tract-linalg
    if [ ! -e "$copy.done" ]; then
        original=$(cd "$root" && cargo metadata --format-version 1 --locked | grep -o '"[^"]*/tract-linalg-[^"]*/Cargo.toml"' |
            head -n 1 | tr -d '"')
        rm -rf "$copy"
        mkdir -p "$folder/armv6"
        cp -r "$(dirname "$original")" "$copy"
        cp "$root/targets/armv6/arm32.rs" "$copy/src/arm32/mod.rs"
        sed -i '/let files = preprocess_files($/{N;/armv7neon/{:more;/compile("armv7neon")/!{N;b more};d}}' "$copy/build.rs"
        if grep -q 'compile("armv7neon")' "$copy/build.rs"; then
            echo "cargo-arm.sh: tract-linalg's build.rs is not the one known here: NEON cannot be taken out" >&2
            exit 1
        fi
        touch "$copy.done"
    fi
    echo "paths = [\"$copy\"]"
}

[ "$arch" != armv6 ] || set -- --config "$(without_neon)" "$@"
cd "$root"
if [ -z "${SCENESCRIBE_TOOLCHAIN:-}" ] && has_target && has_compiler; then
    exec cargo "$command" --config "targets/$arch/cargo.toml" "$@"
fi
prefix=${SCENESCRIBE_TOOLCHAIN:-$root/target/arm-toolchain}
[ -e "$prefix/root/usr/lib/rustlib/$triple/lib" ] || "$root/scripts/setup-arm.sh" "$prefix" "$triple" >&2
. "$prefix/env.sh"
CARGO_TARGET_DIR=$folder/debian-rustc
export CARGO_TARGET_DIR
[ "$command" != build ] || command=zigbuild
exec cargo-zigbuild "$command" --target "$triple" "$@"
