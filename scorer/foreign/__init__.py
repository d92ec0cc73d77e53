"""Models made elsewhere: graphs in ONNX, their thresholds, and what is checked before one is kept.

ONNX and ONNX Runtime are an extra, so nothing here imports them before a graph is used.
"""
