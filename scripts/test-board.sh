#!/bin/sh
# Runs the program on a whole emulated board: a kernel, a camera with photos in front of it, a serial port.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/test-board.sh --photos DIR [--count N] [--machine NAME] [--prefix DIR] [--program FILE] [--here FILE]

Boots Debian's arm64 kernel under qemu as a Raspberry Pi 3B (raspi3b) and as a board with 512 MB (virt, four Cortex-A53 as
the Zero 2 W's), with `scenescribe watch` on /dev/video0, Linux's virtual camera, and on a serial port. Holds N photos
(default: 4) of DIR, those whose captions differ, in front of the camera one after the other, takes the camera away and
gives it back. Then checks on this machine what came over the serial port: each record's checksum, and that each photo's
caption is what `scenescribe caption` says here of the same pixels. Prints how long the first caption took after the
start, and the program's peak memory.

--machine  raspi3b or virt, may be repeated (default: both)
--prefix   where scripts/setup-board.sh puts or has put the emulator (default: target/board)
--program  the program for the board (default: built by scripts/build.sh aarch64)
--here     the program for this machine (default: target/release/scenescribe, built if it is not there)
OUT=DIR    keep what the boards said in DIR
TEXT
}

refuse() {
    echo "test-board.sh: $1" >&2
    exit 2
}

root=$(cd "$(dirname "$0")/.." && pwd)
board=$root/scripts/board
photos='' count=4 machines='' prefix=$root/target/board program='' here=$root/target/release/scenescribe
while [ $# -gt 0 ]; do
    case "$1" in
        -h|--help) usage; exit 0 ;;
        --photos) photos=$2 ;;
        --count) count=$2 ;;
        --machine) machines="$machines $2" ;;
        --prefix) prefix=$2 ;;
        --program) program=$2 ;;
        --here) here=$2 ;;
        *) refuse "unknown argument $1" ;;
    esac
    shift 2
done

[ -n "$photos" ] || refuse "no photos: --photos DIR"
[ -x "$prefix/bin/qemu-system-aarch64" ] || "$root/scripts/setup-board.sh" "$prefix"
[ -x "$here" ] || (cd "$root" && cargo build --release)
if [ -z "$program" ]; then
    program=$root/target/aarch64/scenescribe
    "$root/scripts/build.sh" aarch64 "$program"
fi
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"
[ -n "${OUT:-}" ] || trap 'rm -r "$out"' EXIT

# Photos whose captions differ, so that none can stand for another.
choose_photos() {
    rm -rf "$out/frames"
    find "$photos" -maxdepth 1 -name '*.jp*g' | sort | head -n $((4 * count)) | tr '\n' '\0' |
        xargs -0 "$prefix/venv/bin/python" "$board/photos.py" "$out/frames"
    "$here" caption "$out/frames" | sort -t "$(printf '\t')" -k 2 -u | head -n "$count" > "$out/chosen"
    mkdir -p "$out/photos"
    number=0
    while IFS="$(printf '\t')" read -r picture caption; do
        cp "${picture%.png}.yuyv" "$out/photos/$number.yuyv"
        cp "$picture" "$out/photos/$number.png"
        number=$((number + 1))
    done < "$out/chosen"
    [ "$number" -ge 2 ] || refuse "the photos in $photos all have one caption: take others"
    cut -f 2 "$out/chosen" > "$out/expected"
    head -n 1 "$out/expected" >> "$out/expected" # once more after the camera came back
}

initial_files() {
    frames=''
    for frame in "$out"/photos/*.yuyv; do
        frames="$frames $frame=/photos/${frame##*/}"
    done
    modules='--module vivid --module bcm2835_wdt --module virtio_mmio --module virtio_console'
    "$prefix/venv/bin/python" "$board/initramfs.py" "$out/initramfs" \
        "$board/init=/init" "$prefix/bin/hold_photo=/bin/hold_photo" "$program=/bin/scenescribe" \
        "$board/watch.args=/watch.args" $frames --kernel "$prefix/kernel" --busybox "$prefix/busybox/bin/busybox" $modules
}

# boot MACHINE: captions come over a Pi 3's serial port on the pins, its second UART (Bluetooth has the first, which is
# still good for the kernel's words), and over the one UART of virt, whose words come over a virtual console.
boot() {
    serial=$out/$1.serial console=$out/$1.console
    rm -f "$serial" "$console"
    case "$1" in
        raspi3b)
            tree=$(echo "$prefix"/kernel/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb)
            words="console=ttyAMA0,115200 board.console=console board.serial=ttyS1"
            set -- -M raspi3b -dtb "$tree" -serial "file:$console" -serial "file:$serial" ;;
        virt)
            words="console=hvc0 board.console=hvc0 board.serial=ttyAMA0"
            set -- -M virt -cpu cortex-a53 -smp 4 -m 512M -serial "file:$serial" -device virtio-serial-device \
                -chardev "file,id=said,path=$console" -device virtconsole,chardev=said ;;
        *) refuse "no such machine: $1" ;;
    esac
    timeout 270 "$prefix/bin/qemu-system-aarch64" "$@" -display none -monitor none -nic none -no-reboot \
        -kernel "$prefix"/kernel/boot/vmlinuz-* -initrd "$out/initramfs" \
        -append "$words quiet panic=-1 rdinit=/init" < /dev/null
}

choose_photos
initial_files
status=0
for machine in ${machines:-raspi3b virt}; do
    start=$(date +%s)
    boot "$machine" || status=1
    echo "== $machine, $(($(date +%s) - start)) s"
    tr -d '\r' < "$out/$machine.console"
    "$prefix/venv/bin/python" "$board/check_serial.py" "$out/$machine.serial" "$out/expected" || status=1
    grep -q '^ENDED with 0' "$out/$machine.console" || { echo "$machine: the program did not end well" >&2; status=1; }
done
exit $status
