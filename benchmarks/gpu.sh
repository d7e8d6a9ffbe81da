#!/usr/bin/env bash
# Measures in one call what needs a GPU, and writes JSON and one Markdown report:
#   bash benchmarks/gpu.sh [--minutes 10] [--out DIR] [--device cuda|cpu] [--smoke]
# Needs torch, triton and mmengine, installed or not this project; timm, torchvision and
# transformers are compared with where they are. Call it again to go on.
set -euo pipefail
has_torch='import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch"))'
for python in python python3; do
  if command -v "$python" >/dev/null && "$python" -c "$has_torch" 2>/dev/null; then
    exec "$python" "$(dirname "${BASH_SOURCE[0]}")/gpu/driver.py" "$@"
  fi
done
echo "gpu.sh: neither python nor python3 on the PATH has torch" >&2
exit 1
