#!/bin/sh
# Fuzzes what reads other people's bytes, with libFuzzer and AddressSanitizer on the stable toolchain.
set -eu

usage() {
    cat <<'END'
usage: scripts/fuzz.sh [TARGET...] [--minutes N] [--build]

Builds the targets of tests/fuzz, feeds each from its seeds for N minutes [1], one after the other, and prints a line of
figures for each. An input that panics, computes for over 5 s, waits for over 60 s or breaks a memory bound ends the run with
exit code 1; it is then in tests/fuzz/artifacts. What is found on the way stays in tests/fuzz/corpus.

  TARGET       picture, stream, serial, config, model, metadata or journal [all]
  --minutes N  how long each target runs
  --build      builds only

The first build compiles all dependencies with instrumentation: 15 minutes of processor time. FUZZ_TARGET_DIR names another
folder for it than tests/fuzz/target.
END
}

targets="" minutes=1 builds_only=""
while [ $# -gt 0 ]; do
    case "$1" in
        -h|--help) usage; exit 0 ;;
        --minutes) minutes="$2"; shift ;;
        --build) builds_only=yes ;;
        picture|stream|serial|config|model|metadata|journal) targets="$targets $1" ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ -n "$targets" ] || targets="picture stream serial config metadata journal model"

cd "$(dirname "$0")/../tests/fuzz"
triple=$(rustc -vV | sed -n 's/^host: //p')
folder="${FUZZ_TARGET_DIR:-$PWD/target}"

# What `cargo fuzz` passes. RUSTC_BOOTSTRAP lets the stable compiler take -Zsanitizer.
coverage="-Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$option"
done
RUSTC_BOOTSTRAP=1 RUSTFLAGS="$coverage -Zsanitizer=address --cfg fuzzing" \
    cargo build --release --target "$triple" --target-dir "$folder"
[ -z "$builds_only" ] || exit 0

# Memory that a target frees is kept from reuse for a while, which finds more, but counts against -rss_limit_mb.
export ASAN_OPTIONS="quarantine_size_mb=64:detect_odr_violation=0"
[ -w /dev/shm ] && export TMPDIR=/dev/shm

# Largest single allocation, largest resident set (with the shadow memory of the sanitizer), both in MB, and longest input.
bounds() {
    case "$1" in
        picture|stream) echo "600 3000 8192" ;;
        model) echo "128 2048 4096" ;;
        metadata) echo "64 2048 8192" ;;
        *) echo "48 2048 4096" ;;
    esac
}

run() {
    mkdir -p "corpus/$1" "artifacts/$1"
    read -r largest resident longest <<END
$(bounds "$1")
END
    dictionary="dictionaries/$1.dict"
    set -- "$1" "corpus/$1" "seeds/$1" -max_total_time=$((minutes * 60)) -timeout=60 -malloc_limit_mb="$largest" \
        -rss_limit_mb="$resident" -max_len="$longest" -artifact_prefix="artifacts/$1/" -print_final_stats=1
    # `annotate` returns while its decoding threads end, whose memory then looks lost.
    [ "$1" != journal ] || set -- "$@" -detect_leaks=0
    [ ! -e "$dictionary" ] || set -- "$@" -dict="$dictionary"
    target="$1"
    shift
    "$folder/$triple/release/$target" "$@"
}

for target in $targets; do
    log="artifacts/$target.log"
    mkdir -p artifacts
    if ! run "$target" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "fuzz: $target failed; the whole log is in tests/fuzz/$log" >&2
        exit 1
    fi
    awk -v target="$target" '
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1); else if ($i == "ft:") ft = $(i + 1) }
        /INITED/ { first = cov }
        /^Done / { seconds = $5 }
        /number_of_executed_units/ { runs = $2 }
        /peak_rss_mb/ { rss = $2 }
        END { printf "%s: %d inputs in %d s, coverage %d at first, %d at the end (%d features), %d MB resident at most\n",
              target, runs, seconds, first, cov, ft, rss }' "$log"
done
