#!/usr/bin/env bash
# Trains on a Slurm cluster.
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS are read from the
# environment.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,5s/^# //p' "$0" >&2
  exit 1
fi
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-8}
# SRUN_ARGS holds several arguments, so it is not quoted
exec srun \
  --partition "$1" \
  --job-name "$2" \
  --gres "gpu:$gpus_per_node" \
  --ntasks "$gpus" \
  --ntasks-per-node "$gpus_per_node" \
  --cpus-per-task "${CPUS_PER_TASK:-5}" \
  --kill-on-bad-exit 1 \
  ${SRUN_ARGS:-} \
  python -u "$(dirname "$0")/train.py" "$3" --launcher slurm "${@:4}"
