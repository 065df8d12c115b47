#!/usr/bin/env bash
# Runs stages of measurements on a machine with a GPU, a step at a time. Every step has a time limit, leaves its log, a JSON
# record and a line in steps.txt at once, and is skipped if it has a record already. Remove a record to run its step again.
#
# usage: campaign.sh [--dry-run] STAGE…
#
#   A      no data: correct? fast? PyTorch beside it. Its pieces are stages, too: first, kernels, ours, peers
#   B      the notebook's recipe on CIFAR-10, three seeds
#   B'     the notebook's listing in PyTorch, its step as a CUDA graph, three seeds
#   C      a long run; RECIPE, EPOCHS and SECONDS in the environment choose another
#   train  whole short runs: training, an interruption, what follows a run
#
# `cargo xtask gpu-kit` makes the folder around this script. The machine needs Python with PyTorch and timm, whose libtorch
# the programs use. Results go to $OUT/results, or to ./results. With --dry-run every step runs on the CPU at a small size,
# and results go to dry-run: it shows that the steps run, and measures nothing. All stages are the default there.
#
# environment: PYTHON (python3), OUT; BINARY and LIBRARIES name a program to run in place of the kit's, and its libtorch
set -u
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
binary=${BINARY:-}
dry=''
if [ "${1:-}" = --dry-run ]; then
  dry=--dry-run
  shift
  [ $# -gt 0 ] || set -- A train B "B'" C
fi
[ $# -gt 0 ] || {
  sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
}
device=cuda
if [ -n "$dry" ]; then
  device=cpu
  # Threads that wait for each other take the cores from other work, and the work here is small.
  export OMP_NUM_THREADS=1
fi
out=${OUT:-$PWD}
results=$out/results
[ -z "$dry" ] || results=$out/dry-run
mkdir -p "$results" || exit
work=$(mktemp -d "${TMPDIR:-/tmp}/gpu-campaign.XXXXXX") || exit
data=$work/data/cifar-10-batches-bin
torch=$("$python" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])') || {
  echo "$python has no torch: name a Python that has it by PYTHON" >&2
  exit 1
}
libraries=${LIBRARIES:-$torch/lib}
export PYTHONPATH=$kit/peers PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
failures=0

# step NAME SECONDS COMMAND…, with ABOUT (KEY=VALUE words) and DOCUMENT (a file) for its record
step() {
  local name=$1 limit=$2 begun=$EPOCHREALTIME code seconds
  shift 2
  [ -e "$results/$name.json" ] && return
  # Two cores are slow.
  [ -z "$dry" ] || limit=600
  timeout -k 5 "$limit" "$@" </dev/null >"$results/$name.log" 2>&1
  code=$?
  seconds=$(awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $begun }")
  [ "$code" = 0 ] || failures=$((failures + 1))
  # shellcheck disable=SC2086 # ABOUT is words.
  "$python" "$kit/gpu/record.py" "$results/$name.log" "$results/$name.json" ${ABOUT:-} --exit "$code" \
    --seconds "$seconds" --limit "$limit" $dry ${DOCUMENT:+--document "$DOCUMENT"} || failures=$((failures + 1))
  echo "$name: exit $code after $seconds s, $SECONDS s in all" | tee -a "$results/steps.txt"
  tail -n "${SHOWN:-3}" "$results/$name.log" | cut -c1-600
  archive
}

# Few files come back from such a machine: one archive holds them all.
archive() { tar czf "$results.tgz" -C "$out" "${results##*/}"; }

# The path of a program of the kit.
program() { echo "${binary:-$work/programs/$1}"; }

# A number of images: a few in a dry run.
images() { [ -z "$dry" ] && echo "$1" || echo 2; }

ours() { # NAME SECONDS PROGRAM ARGUMENT…
  local name=$1 limit=$2 which=$3
  shift 3
  step "$name" "$limit" env LD_LIBRARY_PATH="$libraries" "$(program "$which")" "$@"
}

# Rounds of a second each, timed on request: a whole step's recording fits into the second before them.
bench() { # PROGRAM MODE PRESET BATCH_SIZE [--launch WAY]
  local which=$1 mode=$2 preset=$3 size=$4 rounds=5 seconds=1 small=()
  shift 4
  if [ -n "$dry" ]; then
    rounds=1 seconds=0
    [ "$preset" != xception ] || small=(--input 64)
  fi
  # shellcheck disable=SC2016 # $0 and $@ are the inner shell's.
  ABOUT="program=$which launch=${2:-auto} full_batch_size=$size" \
    step "$which-$mode-$preset-$size${2:+-$2}" 60 bash -c 'set -o pipefail; for ((i = 0; i < $0; i++)); do echo; done | "$@"' \
    "$rounds" env LD_LIBRARY_PATH="$libraries" "$(program "$which")" bench --on-request "$seconds" --mode "$mode" \
    --preset "$preset" --batch-size "$(images "$size")" "${small[@]}" "$@"
}

contenders() { # MODE NETWORK BATCH_SIZE WAYS LIMIT
  local short=()
  [ -z "$dry" ] || short=(--rounds 1 --pixels 32)
  step "pytorch-$1-$2-$3-${4//,/-}" "$5" "$python" "$kit/gpu/contenders.py" "$2" "$(images "$3")" "$1" "$4" \
    --device "$device" "${short[@]}"
}

kernels() { # NETWORK CHOICE MODE
  local short=()
  [ -z "$dry" ] || short=(--pixels 32)
  SHOWN=0 step "kernels-$1-$2-$3" 60 "$python" "$kit/gpu/kernels.py" "$1" "$(images 128)" "$2" "$3" --device "$device" \
    "${short[@]}"
}

# A test program. Without a GPU its tests would fail, so a dry run asks only that they are there.
tests() { # NAME SECONDS PROGRAM [ARGUMENT…]
  local name=$1 limit=$2 which=$3
  shift 3
  if [ -n "$binary" ]; then
    echo "$name: left out, because BINARY names another program" | tee -a "$results/steps.txt"
  elif [ -n "$dry" ]; then
    # shellcheck disable=SC2016
    step "$name" "$limit" bash -c '"$@" --list | grep ": test$"' - env LD_LIBRARY_PATH="$libraries" "$(program "$which")" "$@"
  else
    SHOWN=40 ours "$name" "$limit" "$which" "$@" --test-threads=1
  fi
}

# CIFAR-10 in $data; fails where the kit has none.
cifar10() {
  [ -e "$data/test_batch.bin" ] && return
  if [ ! -d "$kit/mosaics" ] && [ -n "$dry" ]; then
    echo "the kit has no data: drawn images take its place" | tee -a "$results/steps.txt"
    return
  fi
  if [ ! -d "$kit/mosaics" ]; then
    echo "the kit has no data: make it where CIFAR-10 is" | tee -a "$results/steps.txt"
    failures=$((failures + 1))
    return 1
  fi
  rm -f "$results/restore.json"
  step restore 60 "$python" "$kit/gpu/mosaics.py" restore "$data" "$kit/mosaics" "$kit"-data-*/mosaics
  [ -e "$data/test_batch.bin" ]
}

# A whole run; its record has the run's results.json. A dry run has one epoch of drawn images.
train() { # NAME SECONDS PROGRAM RECIPE OUT [ARGUMENT…]
  local name=$1 limit=$2 which=$3 recipe=$4 run=$5 small=(--data "cifar10:$data")
  shift 5
  if [ -n "$dry" ]; then
    small=(--data synthetic --set epochs=1 --set batch_size=128 --preset cifar --set model.scale.width=0.1
      --set model.scale.middle_modules=1 --set model.scale.stem_stride=2 --set 'model.scale.entry_strides=[2,2,1]')
  fi
  ABOUT="program=$which recipe=$recipe" DOCUMENT=$work/$run/results.json SHOWN=6 \
    ours "$name" "$limit" "$which" train --recipe "$recipe" --out "$run" "$@" "${small[@]}"
}

# What runs left, without weights.
keep_runs() {
  (cd "$work" && tar czf "$results/runs.tgz" --exclude='*.safetensors' --exclude=checkpoints --exclude=./data --exclude=./programs .)
  archive
}

# The golden test looks for its files where it was built.
golden() {
  local wanted
  wanted=$(cat "$kit/golden.path")
  [ -e "$wanted" ] && return
  { mkdir -p "$(dirname "$wanted")" && ln -sfn "$kit/golden" "$wanted"; } 2>>"$results/steps.txt" && return
  echo "cannot make $wanted, where the test program looks for its files" | tee -a "$results/steps.txt"
  failures=$((failures + 1))
  return 1
}

cd "$work" || exit
[ -n "$binary" ] || "$python" "$kit/gpu/unpack.py" "$kit/programs" "$work/programs" || exit
ABOUT=$(cat "$kit/kit.about") step machine 60 env LD_LIBRARY_PATH="$libraries" "$python" "$kit/gpu/machine.py" \
  --device "$device" "$(program xception)"

for stage in "$@"; do
  case $stage in
    A) file=a ;;
    B) file=b ;;
    "B'") file=b-pytorch ;;
    C) file=c ;;
    *) file=$stage ;;
  esac
  if [ ! -e "$kit/gpu/stage-$file.sh" ]; then
    echo "no stage $stage: A, B, B', C, train, first, kernels, ours or peers" >&2
    exit 2
  fi
  echo "== stage $stage"
  # shellcheck disable=SC1090 # One file a stage.
  . "$kit/gpu/stage-$file.sh"
done
rm -rf "$work"
echo "$failures failed; results in $results"
[ "$failures" = 0 ]
