# PyTorch at its best, on the same machine.
contenders train notebook-cifar10 16 graph-nobench 40
contenders train notebook-cifar10 1024 graph-nobench 40
contenders train xception 128 compile-nobench 110
contenders infer xception 128 eager-nobench,graph-nobench 40
