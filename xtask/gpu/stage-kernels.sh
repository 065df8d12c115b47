# Where the time goes: the kernels of a step, and how near depthwise convolutions come to the memory's speed.
SHOWN=40 step kernels-xception-heuristic 40 python3 "$kit/gpu/kernels.py" xception 128 heuristic
SHOWN=40 step kernels-notebook-heuristic 40 python3 "$kit/gpu/kernels.py" notebook-cifar10 128 heuristic
SHOWN=20 step depthwise 60 python3 "$kit/gpu/depthwise.py" 4.2
contenders train xception 128 eager-nobench,graph-nobench 60
contenders train notebook-cifar10 128 graph-nobench 40
SHOWN=40 step kernels-xception-infer 40 python3 "$kit/gpu/kernels.py" xception 128 heuristic infer
SHOWN=40 step kernels-notebook-benchmark 50 python3 "$kit/gpu/kernels.py" notebook-cifar10 128 benchmark
