"""Speed of the solvers against peers: `python -m benchmarks [NAME…] [--fast] [-o FILE]`. On one thread."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before NumPy and PyTorch are loaded
