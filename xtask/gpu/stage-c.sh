# A long run for accuracy, as far as one sitting lasts.
if cifar10; then
  recipe=${RECIPE:-cifar10-best}
  train "train-$recipe" "${SECONDS_C:-560}" "${PROGRAM:-xception}" "$recipe" "$recipe" --set "epochs=${EPOCHS:-60}"
  ours "eval-$recipe" 60 "${PROGRAM:-xception}" eval --weights "$recipe" --tta --json
  keep_runs
fi
