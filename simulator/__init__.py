"""Synthetic humans, robots and incidents, with ground truth."""
