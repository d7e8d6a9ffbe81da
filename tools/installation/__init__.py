"""The steps of tools/install.py; standard library only."""
