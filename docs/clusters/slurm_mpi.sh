#!/bin/bash
#SBATCH --job-name=sweep
#SBATCH --ntasks=65            # one leads, 64 work
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
source /shared/controlsde/bin/activate
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# --budget: no run is begun in the last half hour, so that the tables are written before the job is ended.
mpiexec -n "$SLURM_NTASKS" controlsde sweep iris-petals --vary noise=0,0.25,1 --vary solver.seed=0:1000 \
    -o /shared/runs --executor mpi --budget 12600
