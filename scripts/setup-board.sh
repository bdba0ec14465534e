#!/bin/sh
# Makes an emulated board of Debian's packages: qemu, Debian's arm64 kernel with its virtual camera, busybox.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/setup-board.sh PREFIX

Makes below PREFIX, without root and without touching the system:
  bin/qemu-system-aarch64   the emulator of whole boards (raspi3b, virt)
  kernel/                   Debian's arm64 kernel, its modules and device trees
  busybox/bin/busybox       a static shell and tools for aarch64
  bin/hold_photo            holds photos in front of the virtual camera (scripts/board/hold_photo.c)
  venv/                     zig, which compiles that, and Pillow and numpy
TEXT
    from_debian
}

scripts=$(cd "$(dirname "$0")" && pwd)
. "$scripts/debian.sh"
take_prefix "$@"

# The emulator with those of its libraries that this machine lacks.
emulator() {
    [ ! -e "$prefix/bin/qemu-system-aarch64" ] || return 0
    apt-get -qq -o Dir::State::status=/var/lib/dpkg/status -y --no-install-recommends --download-only install qemu-system-arm
    mkdir -p "$prefix/qemu-system" "$prefix/bin"
    for package in "$prefix"/apt/cache/archives/*.deb; do
        dpkg -x "$package" "$prefix/qemu-system"
    done
    libraries=$prefix/qemu-system/usr/lib/x86_64-linux-gnu:$prefix/qemu-system/lib/x86_64-linux-gnu
    if [ -x /usr/bin/qemu-system-aarch64 ]; then
        ln -sfn /usr/bin/qemu-system-aarch64 "$prefix/bin/qemu-system-aarch64"
        return
    fi
    cat > "$prefix/bin/qemu-system-aarch64" <<TEXT
#!/bin/sh
LD_LIBRARY_PATH=$libraries exec $prefix/qemu-system/usr/bin/qemu-system-aarch64 -L $prefix/qemu-system/usr/share/qemu "\$@"
TEXT
    chmod +x "$prefix/bin/qemu-system-aarch64"
}

kernel() {
    image=$(apt-cache depends linux-image-arm64:arm64 | sed -n 's/.*Depends: \(linux-image-[0-9][^: ]*\).*/\1/p' | head -n 1)
    unpack kernel "$image:arm64"
    unpack busybox busybox-static:arm64
}

photo_holder() {
    if [ ! -e "$prefix/venv/bin/python" ]; then
        python3 -m venv "$prefix/venv"
        "$prefix/venv/bin/pip" install --quiet ziglang==0.17.1 pillow numpy
    fi
    "$prefix/venv/bin/python" -m ziglang cc -target aarch64-linux-musl -O2 -static -o "$prefix/bin/hold_photo" \
        "$scripts/board/hold_photo.c"
}

private_apt
emulator
kernel
photo_holder
"$prefix/bin/qemu-system-aarch64" --version | head -n 1
ls "$prefix"/kernel/boot/vmlinuz*
