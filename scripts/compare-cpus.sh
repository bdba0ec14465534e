#!/bin/sh
# Shows that every CPU gives the same: encoder outputs byte for byte, captions token for token.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/compare-cpus.sh [--photos DIR] [--count N] PROGRAM CPU=PROGRAM...

Takes the fingerprints of N photos (default: 50) of DIR (default: tests/fixtures/photos) with the first PROGRAM, on this
machine, then with each CPU=PROGRAM under qemu-user, and compares: `scenescribe inspect --fingerprint` prints a hash of the
encoder's output and the tokens of the caption. For example
  scripts/compare-cpus.sh --photos DIR target/release/scenescribe cortex-a53=target/aarch64/scenescribe \
      cortex-a76=target/aarch64/scenescribe cortex-a7=target/armv7/scenescribe arm1176=target/armv6/scenescribe

QEMU=FOLDER  where qemu-aarch64 and qemu-arm are (default: on the PATH)
TEXT
}

refuse() {
    echo "compare-cpus.sh: $1" >&2
    exit 2
}

photos=$(cd "$(dirname "$0")/.." && pwd)/tests/fixtures/photos count=50
while [ $# -gt 0 ]; do
    case "$1" in
        -h|--help) usage; exit 0 ;;
        --photos) photos=$2; shift 2 ;;
        --count) count=$2; shift 2 ;;
        -*) refuse "unknown option $1" ;;
        *) break ;;
    esac
done
[ $# -ge 2 ] || { usage >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
find "$photos" -maxdepth 1 -name '*.jp*g' | sort | head -n "$count" | tr '\n' '\0' > "$work/photos"
[ -s "$work/photos" ] || refuse "no JPEG photos in $photos"

# fingerprints COMMAND...
fingerprints() {
    xargs -0 "$@" inspect --threads 1 --fingerprint < "$work/photos"
}

fingerprints "$1" > "$work/here"
echo "$(uname -m): $(wc -l < "$work/here") photos, all together $(sha256sum < "$work/here" | cut -c 1-16)"
shift
status=0
for pair in "$@"; do
    cpu=${pair%%=*} program=${pair#*=}
    case "$(readelf -hW "$program" | sed -n 's/^ *Machine: *//p')" in
        AArch64) emulator=qemu-aarch64 ;;
        ARM) emulator=qemu-arm ;;
        *) refuse "$program is not for ARM" ;;
    esac
    fingerprints "${QEMU:+$QEMU/}$emulator" -cpu "$cpu" "$program" > "$work/there"
    if cmp -s "$work/here" "$work/there"; then
        echo "$cpu: the same"
    else
        echo "$cpu: $(diff "$work/here" "$work/there" | grep -c '^>') photos differ, for example" >&2
        diff "$work/here" "$work/there" | head -n 4 >&2
        status=1
    fi
done
exit $status
