#!/bin/sh
# Makes a private ARM toolchain of packages from Debian, Python and Rust: for machines without rustup's targets.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/setup-arm.sh PREFIX [TARGET...]

Makes below PREFIX, without root and without touching the system or rustup:
  bin/rustc, bin/rustdoc    Debian's rustc-web, used by cargo through RUSTC and RUSTDOC
  root/                     the compiler, and the standard library for each TARGET
  venv/                     zig, which links and compiles C, and cargo-zigbuild
  cpu/NAME/                 what a program sees on a board with that CPU: glibc, libstdc++, /proc/cpuinfo
  bin/count-{aarch64,arm}   qemu-user 7.2 with a plugin that counts executed instructions (scripts/icount.c)
  libonnxruntime.so.1       ONNX Runtime for aarch64, out of its Python wheel
  env.sh                    to source before `cargo zigbuild --target TARGET`

TARGET is aarch64-unknown-linux-gnu (the default, in Debian ready made) or one whose standard library is built here from
Debian's sources: armv7-unknown-linux-musleabihf, arm-unknown-linux-musleabihf (ARMv6).

Takes 1.8 GB, and needs cc, unzip and cargo besides what follows.
TEXT
    from_debian
}

scripts=$(cd "$(dirname "$0")" && pwd)
. "$scripts/debian.sh"
take_prefix "$@"
shift
[ $# -gt 0 ] || set -- aarch64-unknown-linux-gnu

zig=0.17.1
zigbuild=0.24.0
onnxruntime=1.32.0

compiler() {
    version=$(apt-cache policy rustc-web | sed -n 's/^  Candidate: //p')
    minor=$(echo "$version" | cut -d. -f1,2)
    llvm=$(apt-cache show "libstd-rust-web-$minor=$version" | grep -o 'libllvm[0-9]*' | head -1)
    unpack root "rustc-web=$version" "libstd-rust-web-$minor=$version" "libstd-rust-web-dev=$version" \
        "libstd-rust-web-dev:arm64=$version" "rust-web-src=$version" "$llvm" libz3-4 libedit2 libxml2
    mkdir -p "$prefix/bin"
    for tool in rustc rustdoc; do
        cat > "$prefix/bin/$tool" <<TEXT
#!/bin/sh
LD_LIBRARY_PATH="$prefix/root/usr/lib/x86_64-linux-gnu" exec "$prefix/root/usr/bin/$tool" "\$@"
TEXT
        chmod +x "$prefix/bin/$tool"
    done
}

linker() {
    [ -e "$prefix/venv/bin/cargo-zigbuild" ] && return
    python3 -m venv "$prefix/venv"
    "$prefix/venv/bin/pip" install --quiet "ziglang==$zig" "cargo-zigbuild==$zigbuild"
}

environment() {
    cat > "$prefix/env.sh" <<TEXT
export RUSTC="$prefix/bin/rustc" RUSTDOC="$prefix/bin/rustdoc" PATH="$prefix/venv/bin:\$PATH"
TEXT
    . "$prefix/env.sh"
}

standard_library() {
    libraries=$prefix/root/usr/lib/rustlib/$1/lib
    if ls "$libraries"/libstd-*.rlib >/dev/null 2>&1; then
        return
    fi
    crate=$prefix/standard_library
    mkdir -p "$crate/src" "$libraries/self-contained"
    echo '#![no_std]' > "$crate/src/lib.rs"
    printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' > "$crate/Cargo.toml"
    (cd "$crate" && CARGO_TARGET_DIR=target RUSTC_BOOTSTRAP=1 cargo build --quiet --release --target "$1" \
        -Zbuild-std=std,panic_abort,test,proc_macro)
    rm -f "$crate/target/$1/release/deps"/libempty-*
    cp "$crate/target/$1/release/deps"/*.rlib "$libraries/"
    # rustc names these files for musl; cargo-zigbuild drops them again, and zig links its own.
    for object in crt1 rcrt1 Scrt1 crti crtn crtbegin crtbeginS crtend crtendS; do
        : > "$libraries/self-contained/$object.o"
    done
}

# board CPU PART ARCHITECTURE FEATURES: the folder that stands in for the root of a board with that CPU.
# tract chooses its kernels by /proc/cpuinfo, and ONNX Runtime crashes if that describes an x86 CPU.
board() {
    mkdir -p "$prefix/cpu/$1/proc"
    ln -sfn ../../arm64/lib "$prefix/cpu/$1/lib"
    ln -sfn ../../arm64/usr "$prefix/cpu/$1/usr"
    for core in 0 1 2 3; do
        cat <<TEXT
processor	: $core
BogoMIPS	: 108.00
Features	: $4
CPU implementer	: 0x41
CPU architecture: $3
CPU variant	: 0x0
CPU part	: $2
CPU revision	: 4

TEXT
    done > "$prefix/cpu/$1/proc/cpuinfo"
}

# counter QEMU: bin/count-QEMU, which counts what a program executes.
counter() {
    cat > "$prefix/bin/count-$1" <<TEXT
#!/bin/sh
LD_LIBRARY_PATH="$prefix/qemu/usr/lib/x86_64-linux-gnu" \\
    exec "$prefix/qemu/usr/bin/qemu-$1" -plugin "$prefix/libicount.so" "\$@"
TEXT
    chmod +x "$prefix/bin/count-$1"
}

emulator() {
    unpack qemu qemu-user libcapstone4
    unpack arm64 libc6:arm64 libgcc-s1:arm64 libstdc++6:arm64
    board arm1176 0xb76 7 "half thumb fastmult vfp edsp java tls"
    board cortex-a7 0xc07 7 "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
    board cortex-a53 0xd03 8 "fp asimd evtstrm crc32 cpuid"
    board cortex-a72 0xd08 8 "fp asimd evtstrm crc32 cpuid"
    board cortex-a76 0xd0b 8 "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
    cc -O2 -shared -fPIC -o "$prefix/libicount.so" "$scripts/icount.c"
    counter aarch64
    counter arm
}

onnx_runtime() {
    [ -e "$prefix/libonnxruntime.so.1" ] && return
    wheel=$(mktemp -d "$prefix/wheel.XXXXXX")
    "$prefix/venv/bin/pip" download --quiet --dest "$wheel" --no-deps --only-binary=:all: --python-version 3.12 \
        --platform manylinux_2_28_aarch64 "onnxruntime==$onnxruntime"
    unzip -qoj "$wheel"/*.whl "onnxruntime/capi/libonnxruntime.so.$onnxruntime" -d "$wheel"
    mv "$wheel/libonnxruntime.so.$onnxruntime" "$prefix/libonnxruntime.so.1"
    rm -r "$wheel"
}

private_apt
compiler
linker
environment
for target in "$@"; do
    standard_library "$target"
done
emulator
onnx_runtime
"$prefix/bin/rustc" --version
"$prefix/bin/count-aarch64" --version | head -1
echo "toolchain is in $prefix"
