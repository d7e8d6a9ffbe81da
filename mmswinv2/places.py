"""Where configs and commands are: in a clone, or in ``.mim`` of the installed package.

OpenMMLab's ``mim`` looks for them there, too. Nothing is imported here: setup.py and
``mmswinv2 --help`` read this file.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = (PACKAGE / ".mim").is_dir()
ROOT = PACKAGE / ".mim" if INSTALLED else PACKAGE.parent
CONFIG_DIR = ROOT / "configs"
CARRIED = ("configs", "tools", "demo", "model-index.yml")  # by a wheel

# ``mmswinv2 NAME`` runs a file, in the order of its help. What serves a clone alone is
# left out: install.py, quickstart and make_model_zoo.py.
COMMANDS = {
    "train": "tools/train.py",
    "test": "tools/test.py",
    "dist-train": "tools/dist_train.sh",
    "dist-test": "tools/dist_test.sh",
    "slurm-train": "tools/slurm_train.sh",
    "slurm-test": "tools/slurm_test.sh",
    "demo": "demo/image_demo.py",
    "video-demo": "demo/video_demo.py",
    "app": "demo/app.py",
    "new-config": "tools/new_config.py",
    "check-data": "tools/check_data.py",
    "check-gpu": "tools/check_gpu.py",
    "plan-memory": "tools/analysis/plan_memory.py",
    "plot-run": "tools/plot_run.py",
    "weights": "tools/weights.py",
    "convert": "tools/model_converters/convert_swinv2.py",
    "transfer-window": "tools/transfer_window.py",
    "export": "tools/export.py",
    "onnx-demo": "demo/onnx_demo.py",
    "leaderboard": "tools/leaderboard/run.py",
    "check-benchmark": "tools/leaderboard/check_data.py",
    "pack-submission": "tools/leaderboard/pack_submission.py",
    "make-mini": "tools/dataset_converters/make_mini.py",
    "kinetics": "tools/dataset_converters/kinetics.py",
    "make-token-labels": "tools/dataset_converters/make_token_labels.py",
    "import-token-labels": "tools/dataset_converters/import_token_labels.py",
    "run": "tools/run.py",
}
