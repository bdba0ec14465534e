#!/bin/sh
# Prints the service's unit file for a board: MemoryMax from its profile, the program where it will be.
set -eu

case "${1:-}" in
    -h|--help|'')
        echo "usage: scripts/unit.sh PROFILE PROGRAM    targets/scenescribe.service for the --memory of PROFILE and PROGRAM's path"
        [ -n "${1:-}" ] || exit 2
        exit 0 ;;
esac

# Code and model in the program's file, and the stacks of its threads, in MiB.
beside=24
memory=$(sed -n 's/^--memory=\([0-9]*\)M$/\1/p' "$1")
if [ -n "$memory" ]; then
    limit=$((memory + beside))M
else
    limit=infinity # a profile without --memory sets no bound
fi
sed "s|^MemoryMax=.*|MemoryMax=$limit|; s|^ExecStart=[^ ]*|ExecStart=$2|" "$(dirname "$0")/../targets/scenescribe.service"
