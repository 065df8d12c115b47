# The notebook's listing in PyTorch, its step captured as a CUDA graph, three seeds.
if cifar10; then
  short=()
  [ -z "$dry" ] || short=(--epochs 1 --steps 2)
  for seed in 0 1 2; do
    step "pytorch-notebook-seed$seed" 180 "$python" "$kit/gpu/listing.py" "$data" "$seed" --device "$device" "${short[@]}"
  done
fi
