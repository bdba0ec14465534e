#!/bin/sh
# Counts the instructions that each stage of a model takes on an emulated ARM CPU, for each engine.
set -eu

usage() {
    cat <<'TEXT'
usage: scripts/bench-arm.sh PREFIX [--model DIR] [--float DIR] [--cpu NAME]...

Prints a Markdown table of executed instructions, in millions: a run of the encoder and a step of the decoder with one
and with three rows, for
  scenescribe          the int8 graphs of --model (default: models/default) under our kernels, which the row names
  tract, int8          the same graphs under plain tract (SCENESCRIBE_KERNELS=tract)
  tract, float         the float graphs of --float, as scripts/export.py writes them, under plain tract; left out without
  ONNX Runtime, int8   the same int8 graphs under ONNX Runtime, which has no package for 32-bit ARM
  ONNX Runtime, float  the same float graphs under ONNX Runtime; left out without --float
all on one thread, in the steady state: a run of 2 and one of 2 + N are counted, and the difference is divided by N.

PREFIX is the toolchain that `scripts/setup-arm.sh PREFIX` makes. --cpu may be repeated; default: all of
  arm1176 (armv6)  cortex-a7 (armv7)  cortex-a53  cortex-a72  cortex-a76 (aarch64)
scripts/cargo-arm.sh builds examples/stage.rs for each architecture, as it builds the program that users have.
TEXT
}

refuse() {
    echo "bench-arm.sh: $1" >&2
    usage >&2
    exit 2
}

root=$(cd "$(dirname "$0")/.." && pwd)
prefix='' model=$root/models/default float='' cpus=''
while [ $# -gt 0 ]; do
    case "$1" in
        -h|--help) usage; exit 0 ;;
        --model|--float|--cpu)
            [ $# -ge 2 ] || refuse "$1 needs a value"
            case "$1" in
                --model) model=$2 ;;
                --float) float=$2 ;;
                --cpu) cpus="$cpus $2" ;;
            esac
            shift 2 ;;
        -*) refuse "unknown option $1" ;;
        *) [ -z "$prefix" ] || refuse "one PREFIX only"; prefix=$1; shift ;;
    esac
done
[ -n "$prefix" ] || refuse "PREFIX is missing"
[ -r "$prefix/env.sh" ] || refuse "no toolchain in $prefix: make it with scripts/setup-arm.sh $prefix"
prefix=$(cd "$prefix" && pwd)
for cpu in ${cpus:=arm1176 cortex-a7 cortex-a53 cortex-a72 cortex-a76}; do
    [ -d "$prefix/cpu/$cpu" ] || refuse "no such CPU in $prefix: $cpu"
done

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# arch CPU
arch() {
    case "$1" in
        arm1176) echo armv6 ;;
        cortex-a7) echo armv7 ;;
        *) echo aarch64 ;;
    esac
}

build_onnx_runtime() {
    . "$prefix/env.sh"
    folder=$root/scripts/onnxruntime_stage
    cargo zigbuild --quiet --release --manifest-path "$folder/Cargo.toml" --target-dir "$folder/target" \
        --target aarch64-unknown-linux-gnu.2.31
    onnxruntime_stage=$folder/target/aarch64-unknown-linux-gnu/release/onnxruntime_stage
}

# instructions CPU PROGRAM ARGUMENT...: of a whole process.
instructions() {
    cpu=$1
    shift
    case "$cpu" in
        arm1176|cortex-a7) counter=count-arm ;;
        *) counter=count-aarch64 ;;
    esac
    told=$("$prefix/bin/$counter" -cpu "$cpu" -L "$prefix/cpu/$cpu" "$@" 2>&1 >/dev/null) || {
        echo "bench-arm.sh: on $cpu, $* failed: $told" >&2
        exit 1
    }
    echo "$told" | sed -n 's/^instructions //p'
}

# each N CPU PROGRAM ARGUMENT...: millions of instructions of one of N more runs; the program's last argument is their number.
each() {
    more=$1
    shift
    few=$(instructions "$@" 2)
    many=$(instructions "$@" $((2 + more)))
    echo "$few $many $more" | awk '{ printf "%.2f", ($2 - $1) / $3 / 1e6 }'
}

# ours CPU KERNELS MODEL
ours() {
    SCENESCRIBE_KERNELS=$2
    [ -n "$2" ] && export SCENESCRIBE_KERNELS || unset SCENESCRIBE_KERNELS
    stage=$work/$(arch "$1")
    cells="$(each 2 "$1" "$stage" "$3" encoder 1)"
    cells="$cells | $(each 20 "$1" "$stage" "$3" step 1)"
    echo "$cells | $(each 20 "$1" "$stage" "$3" step 3)"
}

# theirs CPU ENCODER DECODER
theirs() {
    set -- "$@" "$onnxruntime_stage" "$prefix/libonnxruntime.so.1"
    cells="$(each 2 "$1" "$4" "$5" "$2" 1)"
    cells="$cells | $(each 20 "$1" "$4" "$5" "$3" 1)"
    echo "$cells | $(each 20 "$1" "$4" "$5" "$3" 3)"
}

# row CPU ENGINE COMMAND...: a line of the table, with the cells that the command prints.
row() {
    start="| $1 | $2"
    shift 2
    cells=$("$@")
    echo "$start | $cells |"
}

archs=$(for cpu in $cpus; do arch "$cpu"; done | sort -u)
for arch in $archs; do
    program=$("$root/scripts/cargo-arm.sh" --path "$arch" build --release --example stage)
    cp "$program" "$work/$arch"
done
case "$archs" in *aarch64*) build_onnx_runtime ;; esac
echo "| CPU | engine | encoder | decoder step, 1 row | 3 rows |"
echo "|---|---|---|---|---|"
for cpu in $cpus; do
    row "$cpu" "scenescribe, int8" ours "$cpu" '' "$model"
    row "$cpu" "tract, int8" ours "$cpu" tract "$model"
    [ -z "$float" ] || row "$cpu" "tract, float" ours "$cpu" tract "$float"
    [ "$(arch "$cpu")" = aarch64 ] || continue
    row "$cpu" "ONNX Runtime, int8" theirs "$cpu" "$model/encoder_model_quantized.onnx" "$model/decoder_model_quantized.onnx"
    [ -z "$float" ] || row "$cpu" "ONNX Runtime, float" theirs "$cpu" "$float/encoder_model.onnx" "$float/decoder_model.onnx"
done
cat <<'TEXT'

Executed instructions, in millions. Instructions are not milliseconds: a core takes some of them two at a time, waits for
memory, and a multiplication of 16 numbers counts as one. Only a board tells how long a caption takes.
TEXT
