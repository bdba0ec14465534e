#!/bin/sh
# Checks that the streams which ffmpeg writes are read pixel for pixel.
set -eu

usage() {
    cat <<'END'
usage: scripts/test-streams.sh

Lets ffmpeg write pictures as y4m, MJPEG and raw frames, in BT.601 and BT.709, full and limited range, and compares what
scenescribe reads with the pictures; then follows ffmpeg through a pipe with `watch`. Prints the differences. Installs Debian's
ffmpeg if there is none and it may.
END
}

case "${1:-}" in
    -h|--help) usage; exit 0 ;;
    "") ;;
    *) usage >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."
if ! command -v ffmpeg >/dev/null; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        apt-get install -qy --no-install-recommends ffmpeg
    else
        echo "test-streams: there is no ffmpeg: apt install ffmpeg" >&2
        exit 1
    fi
fi
cargo test --release --test integration -- --ignored --nocapture --test-threads 1 ffmpeg::
