"""What the live service takes under load: `python -m benchmarks serving --help`."""
