"""Logged features against recomputed ones: which differ, since when, and for what reason."""
