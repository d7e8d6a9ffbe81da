#!/usr/bin/env bash
# Measures in one call what needs a GPU: the attention operator, then whole backbones.
# Backbones are kept case by case: call it again to go on. Prints Markdown tables.
set -euo pipefail
cd "$(dirname "$0")"
python attention/gpu_op.py
backbones="python backbone/run.py --device cuda --dtype bf16 --seconds 20"
$backbones --compile --batch 1 4
$backbones --arch base --windows 16 24 --sizes 1024x1024 1536x1536
