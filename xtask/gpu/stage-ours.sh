# What our kernels and CUDA graphs give: the same steps without them.
tests tests-trainer-libtorch 120 trainer-libtorch --ignored
for size in 16 128 1024; do
  bench xception-libtorch train notebook-cifar10 "$size"
  bench xception train notebook-cifar10 "$size" --launch eager
done
for size in 16 1024; do
  bench xception train notebook-cifar10 "$size"
done
bench xception-plain train notebook-cifar10 128
bench xception-libtorch train xception 128
bench xception-libtorch infer xception 128
bench xception-libtorch infer notebook-cifar10 1024
bench xception infer notebook-cifar10 1024
