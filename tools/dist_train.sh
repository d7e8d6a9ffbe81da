#!/usr/bin/env bash
# Trains on several GPUs of one or more machines.
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several machines: start it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 1
fi
config=$1
gpus=$2
exec python -m torch.distributed.run \
  --nnodes "${NNODES:-1}" \
  --node-rank "${NODE_RANK:-0}" \
  --master-addr "${MASTER_ADDR:-127.0.0.1}" \
  --master-port "${PORT:-29500}" \
  --nproc-per-node "$gpus" \
  "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
