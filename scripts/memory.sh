#!/bin/sh
# Shows where the memory of the default model goes, how flat it stays, and the smallest pool that it runs in.
#
#     scripts/memory.sh [--frames N] [PHOTO]
set -eu

usage() { sed -n '2,4s/^# \{0,1\}//p' "$0"; }

frames=10000
photo=tests/fixtures/photos/dog.jpg
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit ;;
        --frames) frames=$2; shift ;;
        *) photo=$1 ;;
    esac
    shift
done

cd "$(dirname "$0")/.."
cargo build --release --quiet
program=target/release/scenescribe

echo "== the parts of it"
"$program" inspect --threads 1 | sed -n '/^peak memory/,$p'

echo "== the smallest pool, in MiB"
low=1
high=64
while [ $((high - low)) -gt 1 ]; do
    middle=$(((low + high) / 2))
    if "$program" caption --threads 1 --memory "${middle}M" "$photo" >/dev/null 2>&1; then high=$middle; else low=$middle; fi
done
echo "$high"

echo "== $frames frames of changing pictures"
cargo test --release --quiet --test memory -- --frames "$frames" --embedded
