"""Side-by-side measurements; `python -m benchmarks` runs them."""

import os

# Polars takes its number of threads from here, once, when it is imported; 2 as for the others.
os.environ.setdefault("POLARS_MAX_THREADS", "2")
