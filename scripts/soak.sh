#!/bin/sh
# Lets `scenescribe watch` run for long at full speed and checks that it does not grow.
set -eu

usage() {
    cat <<'END'
usage: scripts/soak.sh [MINUTES] [OPTION OF watch]...

Follows a moving test pattern at full speed for MINUTES (30 unless told otherwise); a new scene comes every 30 frames, its
caption is told and its picture kept. Prints resident memory, open files and threads after the first minute and at the end,
and fails if memory has moved by more than 1 % in between, or if the others have grown. Options of `watch` given here say
what to follow instead: `--input DIR --repeat --hold 1` are photos, each of which the network sees and whose caption is
told. SCENESCRIBE names another program than the release build.
END
}

case "${1:-}" in -h|--help) usage; exit 0 ;; esac
minutes=${1:-30}
[ $# -gt 0 ] && shift
case "$minutes" in ''|*[!0-9]*|0) usage >&2; exit 2 ;; esac
[ "$minutes" -gt 1 ] || { echo "soak: the first minute is the warm-up: give 2 or more" >&2; exit 2; }

cd "$(dirname "$0")/.."
program=${SCENESCRIBE:-target/release/scenescribe}
[ $# -gt 0 ] || set -- --input test-pattern
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

"$program" watch --threads 1 --json --health 3600 --log-frames "$work/kept" --keep 20 "$@" \
    > /dev/null 2> "$work/log" &
pid=$!

# Resident kB, open files, threads.
look() {
    awk '/^VmRSS:/ { resident = $2 } /^Threads:/ { threads = $2 } END { printf "%d %d ", resident, threads }' "/proc/$pid/status"
    ls "/proc/$pid/fd" | wc -l
}

sleep 60
# shellcheck disable=SC2046
set -- $(look)
first=$1 threads=$2 files=$3 most=$1 least=$1
echo "after a minute    $first kB resident, $files files, $threads threads"
seconds=$((minutes * 60 - 60))
while [ "$seconds" -gt 0 ]; do
    pause=10
    [ "$seconds" -ge "$pause" ] || pause=$seconds
    sleep "$pause"
    seconds=$((seconds - pause))
    kill -0 "$pid" 2>/dev/null || { echo "soak: it has ended by itself:" >&2; cat "$work/log" >&2; exit 1; }
    # shellcheck disable=SC2046
    set -- $(look)
    [ "$1" -le "$most" ] || most=$1
    [ "$1" -ge "$least" ] || least=$1
done
echo "after $minutes minutes  $1 kB resident ($least to $most in between), $3 files, $2 threads"

kill -TERM "$pid"
status=0
wait "$pid" || status=$?
pid=
tail -n 1 "$work/log"
[ "$status" -eq 0 ] || { echo "soak: exit code $status at the end" >&2; exit 1; }
[ "$(ls "$work/kept" | wc -l)" -le 20 ] || { echo "soak: more pictures kept than allowed" >&2; exit 1; }
[ $((most * 100)) -le $((first * 101)) ] && [ $((least * 100)) -ge $((first * 99)) ] \
    || { echo "soak: resident memory has moved by more than 1 %" >&2; exit 1; }
[ "$3" -le "$files" ] && [ "$2" -le "$threads" ] || { echo "soak: open files or threads have grown" >&2; exit 1; }
echo "flat within 1 %"
