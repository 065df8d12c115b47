# PyTorch at its best, on the same machine.
contenders train notebook-cifar10 16 eager-nobench,graph-nobench 40
contenders train notebook-cifar10 1024 eager-nobench,graph-nobench 40
contenders train notebook-cifar10 128 graph 60
contenders train xception 128 eager-nobench,graph-nobench 60
contenders infer xception 128 eager-nobench,graph-nobench 40
contenders infer notebook-cifar10 1024 graph-nobench 40
contenders train notebook-cifar10 128 reduce-overhead-nobench 120
contenders train xception 128 compile-nobench 120
