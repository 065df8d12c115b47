# Whole runs on CIFAR-10: training, an interruption, what follows a run.
work=$results/../work
mkdir -p "$work/data"
step restore 60 python3 "$kit/gpu/mosaics.py" restore "$MOSAICS" "$work/data/cifar-10-batches-bin"
cd "$work" || exit
SHOWN=6 step train-quick 90 "$kit/xception" train --recipe quick --data cifar10 --set precision=bf16 --out quick
step interrupted 30 bash -c '"$1" train --recipe quick --data cifar10 --set precision=bf16 --set epochs=3 --out stopped & pid=$!; sleep 7; kill -INT $pid; wait $pid; echo "exit $?"' - "$kit/xception"
step resumed 40 "$kit/xception" train --resume stopped
step straight 40 "$kit/xception" train --recipe quick --data cifar10 --set precision=bf16 --set epochs=3 --out straight
step compared 10 sha256sum stopped/last.safetensors straight/last.safetensors
step eval 20 "$kit/xception" eval --weights quick --tta
SHOWN=6 step train-notebook 90 "$kit/xception" train --recipe notebook --data cifar10 --set epochs=1 --out notebook
tar czf "$results/runs.tgz" --exclude='*.safetensors' --exclude=checkpoints --exclude=data .
