# Our kernels, correct? And what they give beside libtorch's.
tests tests-on-gpu 60 on_gpu --include-ignored
tests tests-trainer-kernels 120 trainer-kernels --ignored
for size in 16 1024; do
  bench xception train notebook-cifar10 "$size"
  bench xception train notebook-cifar10 "$size" --launch eager
done
bench xception infer notebook-cifar10 1024
bench xception train xception 128 --launch eager
for size in 16 128 1024; do
  bench xception-kernels train notebook-cifar10 "$size"
done
bench xception-kernels train xception 128
bench xception-kernels infer xception 128
bench xception-kernels infer notebook-cifar10 1024
