#!/bin/bash
#SBATCH --job-name=sweep
#SBATCH --array=0-63           # 64 jobs that know nothing of each other
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --time=04:00:00
source /shared/controlsde/bin/activate

# Every job has seeds of its own, and all have one folder.
FIRST=$((SLURM_ARRAY_TASK_ID * 16))
LAST=$((FIRST + 16))
controlsde sweep iris-petals --vary noise=0,0.25,1 --vary solver.seed=$FIRST:$LAST \
    -o /shared/runs --workers "$SLURM_CPUS_PER_TASK" --budget 12600 -q
