"""Compiled backbones of this project and timm, whose eager one is the fastest other."""

from backbones import run_section

if __name__ == "__main__":
    run_section([(1024, 16)], ["ours", "timm"], compiled=True)
