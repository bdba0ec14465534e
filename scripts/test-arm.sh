#!/bin/sh
# Runs the test suite on emulated ARM CPUs.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/test-arm.sh [ARCH...] [-- FILTER...]

Builds the tests for each ARCH (default: aarch64 armv7 armv6) with scripts/cargo-arm.sh and runs them under qemu-user: on a
Cortex-A53, A72 and A76, on a Cortex-A7, on an ARM1176. Tests that start the program do so in the same emulator. FILTER
goes to the test programs. Documentation tests are left to the machine that builds. qemu-user 7.2 does not know the ioctl
TCGETS2: tests that open a serial line fail under it.

For armv6 the program's instructions are checked too: none may be beyond ARMv6 with VFPv2, but in functions that are chosen
at run time on such a CPU alone: musl's, whose names end in _v7, and libunwind's saveVFPv3 and restoreVFPv3.

CPUS="NAME..."  only these CPUs
QEMU=FOLDER     where qemu-aarch64 and qemu-arm are (default: on the PATH; installed if you are root)
TEXT
}

archs=''
while [ $# -gt 0 ]; do
    case "$1" in
        -h|--help) usage; exit 0 ;;
        --) shift; break ;;
        aarch64|armv7|armv6) archs="$archs $1"; shift ;;
        *) usage >&2; exit 2 ;;
    esac
done
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] || { echo "test-arm.sh: $1 is missing: apt-get install $2" >&2; exit 1; }
    apt-get -qq install -y --no-install-recommends "$2" >&2
}

[ -n "${QEMU:-}" ] || need qemu-arm qemu-user

# cpus ARCH
cpus() {
    case "$1" in
        aarch64) all="cortex-a53 cortex-a72 cortex-a76" ;;
        armv7) all=cortex-a7 ;;
        armv6) all=arm1176 ;;
    esac
    for cpu in $all; do
        case " ${CPUS:-$all} " in *" $cpu "*) echo "$cpu" ;; esac
    done
}

# build_tests ARCH: the test programs, listed in $work/tests. Our own code compiles without a warning for each ARCH.
build_tests() {
    scripts/cargo-arm.sh "$1" test --release --no-run --lib --bins --tests --message-format json-render-diagnostics \
        > "$work/built" 2> "$work/said" || { cat "$work/said" >&2; exit 1; }
    cat "$work/said" >&2
    if grep '^warning: `scenescribe`' "$work/said" >> "$work/failed"; then
        echo "test-arm.sh: the compiler warns on $1" >&2
    fi
    grep '"profile":{[^}]*"test":true' "$work/built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' > "$work/tests"
    [ -s "$work/tests" ] || { echo "test-arm.sh: no tests were built for $1" >&2; exit 1; }
}

# run_tests ARCH CPU FILTER...
run_tests() {
    case "$1" in
        aarch64) emulator=${QEMU:+$QEMU/}qemu-aarch64 ;;
        *) emulator=${QEMU:+$QEMU/}qemu-arm ;;
    esac
    cpu=$2
    shift 2
    # By its whole path: some tests start the program with a PATH of their own.
    SCENESCRIBE_TEST_RUNNER="$(command -v "$emulator") -cpu $cpu"
    export SCENESCRIBE_TEST_RUNNER
    # tract looks into /proc/cpuinfo for NEON, where older emulators show this machine's CPU.
    case "$cpu" in
        cortex-a7) export TRACT_CPU_ARM32_NEON=true ;;
        *) unset TRACT_CPU_ARM32_NEON ;;
    esac
    while read -r tests; do
        echo "== $cpu: ${tests##*/}"
        { $emulator -cpu "$cpu" "$tests" "$@" < /dev/null 2>&1 || echo "$cpu: ${tests##*/}" >> "$work/failed"; } |
            tee -a "$work/$cpu"
    done < "$work/tests"
}

# summary CPU
summary() {
    awk -v cpu="$1" '
        /^test result:/ { passed += $4; failed += $6; ignored += $8 }
        END { printf "%s: %d passed, %d failed, %d ignored\n", cpu, passed, failed, ignored }' "$work/$1"
}

# beyond_armv6 PROGRAM: instructions that an ARM1176 does not have, with the functions they are in.
beyond_armv6() {
    need arm-linux-gnueabihf-objdump binutils-arm-linux-gnueabihf
    arm-linux-gnueabihf-objdump -d "$1" | awk -F '\t' '
        / <.*>:$/ { function_name = $0; sub(/^.* </, "", function_name); sub(/>:$/, "", function_name); next }
        NF < 3 || function_name ~ /_v7$|(save|restore)VFPv3/ { next }
        { mnemonic = $3; sub(/ .*/, "", mnemonic) }
        mnemonic ~ /^(movw|movt|bfi|bfc|ubfx|sbfx|mls|rbit|ldrht|strht|ldrsbt|ldrsht|dmb|dsb|isb|pli|pldw|sdiv|udiv)/ ||
        mnemonic ~ /^v/ && mnemonic !~ /^v(add|sub|mul|nmul|mla|mls|nmla|nmls|div|abs|neg|sqrt|cmpe?|cvtr?|mov|ldr|str|ldm|stm|push|pop|mrs|msr)/ ||
        mnemonic ~ /^v.*\.(i|s8|s16|u8|u16|s64|u64|[0-9])/ ||
        mnemonic ~ /^v/ && $4 ~ /(^|[^a-z0-9_])(q[0-9]|d1[6-9]|d2[0-9]|d3[01])/ ||
        mnemonic ~ /^vmov.*\.f/ && $4 ~ /#/ ||
        mnemonic ~ /^vcvt/ && $4 ~ /#/ { print function_name ": " $3 " " $4 }'
}

check_armv6() {
    program=$(scripts/cargo-arm.sh --path armv6 build --release --bin scenescribe \
        --config 'profile.release.package.scenescribe.strip=false')
    readelf -A "$program" | grep -E 'Tag_(CPU_arch|FP_arch|Advanced_SIMD_arch):'
    beyond_armv6 "$program" > "$work/beyond"
    if [ -s "$work/beyond" ]; then
        echo "test-arm.sh: $(wc -l < "$work/beyond") instructions of the armv6 program are not ARMv6's, such as" >&2
        cut -d : -f 1 "$work/beyond" | sort | uniq -c | sort -rn | head -n 10 >&2
        exit 1
    fi
    echo "no instruction of $(arm-linux-gnueabihf-objdump -d "$program" | grep -cE '^ +[0-9a-f]+:') is beyond ARMv6"
}

ran=''
for arch in ${archs:-aarch64 armv7 armv6}; do
    build_tests "$arch"
    for cpu in $(cpus "$arch"); do
        run_tests "$arch" "$cpu" "$@"
        ran="$ran $cpu"
    done
    [ "$arch" != armv6 ] || check_armv6
done
for cpu in $ran; do
    summary "$cpu"
done
if [ -s "$work/failed" ]; then
    sed 's/^/FAILED /' "$work/failed" >&2
    exit 1
fi
echo "all passed"
