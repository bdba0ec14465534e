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
# One ARM target, where rustup has it and there is an assembler for tract's kernels: most code is the same for all of them.
if rustup target list --installed 2>/dev/null | grep -qx aarch64-unknown-linux-musl && command -v aarch64-linux-gnu-gcc >/dev/null; then
    cargo check --release --config targets/aarch64/cargo.toml
else
    echo "no ARM target here: scripts/test-arm.sh brings what it needs"
fi
for script in scripts/*.sh scripts/board/init; do sh -n "$script"; done
if command -v python3 >/dev/null; then
    python3 -m compileall -q scripts tests
fi
echo "all checks passed"
