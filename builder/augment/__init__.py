"""Augmentations: one file for each, one table of all."""
