# Our kernels: correct, and what they give.
SHOWN=30 step tests-on-gpu 60 "$kit/tests/on_gpu" --include-ignored --test-threads=1
bench train xception 128
bench train notebook-cifar10 128
bench train notebook-cifar10 16
bench train notebook-cifar10 1024
bench infer xception 128
bench infer notebook-cifar10 1024
