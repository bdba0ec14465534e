#!/bin/sh
# What a commit must pass: format, lints, tests, documentation. Builds with the profile that users build with.
set -eu

case "${1:-}" in
    -h|--help) echo "usage: scripts/check.sh    format, lints, tests and documentation of the whole project"; exit 0 ;;
esac

cd "$(dirname "$0")/.."
cargo fmt --check
cargo test --release
cargo clippy --release --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --quiet
scripts/check-no-std.sh
for script in scripts/*.sh; do sh -n "$script"; done
if command -v python3 >/dev/null; then
    python3 -m compileall -q scripts tests
fi
echo "all checks passed"
