# Whole runs: training, an interruption, what follows a run.
if cifar10; then
  which=${PROGRAM:-xception}
  train train-quick 90 "$which" quick quick --set precision=bf16
  stopped=(--recipe quick --data "cifar10:$data" --set precision=bf16 --set epochs=3)
  if [ -n "$dry" ]; then
    stopped=(--recipe quick --data synthetic --set epochs=2 --set model.scale.width=0.1 --set model.scale.middle_modules=1)
  fi
  # Stopped once it has logged. Not by SIGINT, which a shell makes its background jobs ignore.
  # shellcheck disable=SC2016 # The inner shell's own.
  step interrupted 60 bash -c '"$@" & pid=$!; for ((i = 0; i < $0; i++)); do [ -s stopped/metrics.jsonl ] && break; sleep 0.1; done
    kill -TERM $pid; wait $pid; code=$?; echo "exit $code"; [ $code = 143 ]' \
    500 env LD_LIBRARY_PATH="$libraries" "$(program "$which")" train "${stopped[@]}" --out stopped
  ours resumed 60 "$which" train --resume stopped
  ours straight 60 "$which" train "${stopped[@]}" --out straight
  # On a GPU the two differ where libtorch's kernels are not deterministic: the sums are for the record.
  step compared 10 sha256sum stopped/last.safetensors straight/last.safetensors
  ours eval-quick 60 "$which" eval --weights quick --tta --json
  keep_runs
fi
