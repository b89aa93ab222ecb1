"""Plans and trains both stages with nnU-Net, and runs them in Python."""
