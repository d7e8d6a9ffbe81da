"""Eager backbones of four projects."""

from backbones import run_section

if __name__ == "__main__":
    run_section(
        [(1024, 16), (1024, 24), (1536, 24)],
        ["ours", "timm", "torchvision", "transformers"],
        compiled=False,
    )
