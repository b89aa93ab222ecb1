"""Predictions and times against nnU-Net."""
