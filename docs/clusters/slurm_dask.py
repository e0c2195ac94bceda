"""Workers of Dask as jobs of SLURM. Run it where `sbatch` is, and leave it running while sweeps run.

It prints the address for `controlsde sweep … --executor dask:ADDRESS`. Needs `pip install dask-jobqueue`.
"""

import threading

from dask_jobqueue import SLURMCluster

cluster = SLURMCluster(
    queue="standard",
    account="lab",
    cores=16,
    processes=16,  # a worker for every processor: each run uses one thread
    memory="64 GB",
    walltime="04:00:00",
    job_script_prologue=[
        "source /shared/controlsde/bin/activate",  # the environment that this runs in: versions are compared
        "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1",
    ],
    local_directory="$TMPDIR",  # what Dask itself puts aside; results go to the folder of the sweep
    log_directory="dask-logs",
)
cluster.scale(jobs=8)  # or cluster.adapt(minimum_jobs=1, maximum_jobs=32)
print(cluster.scheduler_address, flush=True)
threading.Event().wait()
