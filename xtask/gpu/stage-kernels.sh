# Where the time goes: the kernels of a step, and how near depthwise convolutions come to the memory's speed.
kernels xception heuristic train
kernels notebook-cifar10 heuristic train
SHOWN=20 step depthwise 60 "$python" "$kit/gpu/depthwise.py" 4.2 --device "$device"
kernels xception heuristic infer
kernels notebook-cifar10 benchmark train
