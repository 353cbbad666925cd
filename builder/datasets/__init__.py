"""Samples by index, in batches, in an order."""
