# The notebook's recipe, number for number, three seeds; the test set changed as in the notebook.
if cifar10; then
  for seed in 0 1 2; do
    train "train-notebook-seed$seed" 180 "${PROGRAM:-xception}" notebook "notebook-seed$seed" \
      --set "seed=$seed" --set augmentation.applies_to=training-and-test
    keep_runs
  done
fi
