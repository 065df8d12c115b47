# The first minute of a GPU: does anything run at all, and is it correct?
tests tests-torch-ext 90 torch_ext --ignored
tests tests-on-gpu 60 on_gpu --include-ignored
tests tests-trainer 120 trainer --ignored
golden && tests tests-golden 150 integration golden::cuda --ignored
step ceilings 60 "$python" "$kit/gpu/ceilings.py" --device "$device"
# The time to the first steps, libraries and choice of kernels included: for each family of shapes, of the shortest bench.
for shape in notebook-cifar10:128 notebook-cifar10:80 xception:128; do
  small=()
  [ -z "$dry" ] || small=(--input 64)
  ABOUT="program=xception launch=auto shape=$shape" \
    ours "first-steps-${shape/:/-}" 60 xception bench --json --steps 1 --preset "${shape%:*}" --batch-size "$(images "${shape#*:}")" \
    "${small[@]}"
done
bench xception train notebook-cifar10 128
bench xception train xception 128
bench xception infer xception 128
contenders train notebook-cifar10 128 eager-nobench,graph-nobench 60
