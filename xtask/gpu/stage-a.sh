# Everything that needs no data, the most telling first.
for piece in first ours peers kernels; do
  # shellcheck disable=SC1090
  . "$kit/gpu/stage-$piece.sh"
done
