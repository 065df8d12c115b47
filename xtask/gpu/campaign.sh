#!/usr/bin/env bash
# Runs a stage of measurements on a machine with a GPU, a step at a time. Every step has a time limit, writes its log into
# the results folder at once, and is skipped if it has one already.
#
# usage: campaign.sh STAGE…
#
# This script is to be copied into a folder with what it needs, since the machine may have no compiler:
#   xception                       the program, built with the feature `cuda` against the machine's version of libtorch
#   tests/                         test programs: integration, on_gpu, torch_ext, trainer
#   golden/                        tests/golden, at the path that the test program was built with
#   gpu/, peers/                   the other files of this folder; xtask/peers/networks.py
# The machine has Python with PyTorch and timm, whose libtorch the programs use. Results go to $OUT, or to ./results. Stage
# `train` reads CIFAR-10 as mosaics.py packs it, from the folder $MOSAICS.
set -u
kit=$(cd "$(dirname "$0")" && pwd)
results=${OUT:-$PWD/results}/results
mkdir -p "$results"
torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')
export LD_LIBRARY_PATH=$torch/lib PYTHONPATH=$kit/peers PYTHONUNBUFFERED=1
started=$SECONDS

# step NAME SECONDS COMMAND…
step() {
  local name=$1 limit=$2 begun=$SECONDS code
  shift 2
  [ -e "$results/$name.log" ] && return
  timeout -k 5 "$limit" "$@" >"$results/$name.log" 2>&1
  code=$?
  echo "$name: exit $code after $((SECONDS - begun)) s, $((SECONDS - started)) s in all" | tee -a "$results/steps.txt"
  tail -n "${SHOWN:-3}" "$results/$name.log" | cut -c1-600
  # Few files come back from such a machine: one archive holds them all.
  tar czf "${results%/*}/results.tgz" -C "${results%/*}" results
}

bench() { # MODE PRESET BATCH_SIZE [ARGUMENT…]
  local mode=$1 preset=$2 size=$3
  shift 3
  step "ours-$mode-$preset-$size$(printf '%s' "$@" | tr -d ' ')" 60 \
    "$kit/xception" bench --json --steps 7 --mode "$mode" --preset "$preset" --batch-size "$size" "$@"
}

contenders() { # MODE NETWORK BATCH_SIZE WAYS LIMIT
  step "pytorch-$1-$2-$3-${4//,/-}" "$5" python3 "$kit/gpu/contenders.py" "$2" "$3" "$1" "$4"
}

for stage in "$@"; do
  . "$kit/gpu/stage-$stage.sh"
done
