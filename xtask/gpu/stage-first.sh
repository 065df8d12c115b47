# The first minute of a GPU: does anything run at all, and is it correct?
SHOWN=12 step machine 30 bash -c 'nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm --format=csv; nproc; ldd "$1" | grep "not found"; ls -la "$2"; "$1" --version' - "$kit/xception" "$torch/lib"
SHOWN=40 step tests-torch-ext 90 "$kit/tests/torch_ext" --ignored --test-threads=1
SHOWN=60 step tests-trainer 120 "$kit/tests/trainer" --ignored --test-threads=1
bench train notebook-cifar10 128
bench train notebook-cifar10 128 --launch eager
bench train xception 128
bench infer xception 128
step ceilings 60 python3 "$kit/gpu/ceilings.py"
contenders train notebook-cifar10 128 eager,graph 60
SHOWN=60 step tests-golden 150 "$kit/tests/integration" golden::cuda --ignored --test-threads=4
