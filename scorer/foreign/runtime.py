"""The extra that graphs in ONNX need; absent from a plain installation."""

from importlib import import_module
from types import ModuleType

from scorer.errors import MissingExtra


def extra(module: str) -> ModuleType:
    """Import one of the extra's modules; raise MissingExtra where it is not installed."""
    try:
        return import_module(module)
    except ImportError as exc:
        raise MissingExtra(
            f"a model in ONNX needs {module.partition('.')[0]}, which is not installed here: "
            "pip install 'slidr-replay[onnx]'"
        ) from exc
