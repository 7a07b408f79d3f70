#!/bin/bash
# A Slurm array: sixteen jobs that each do a sixteenth of the shards, and one that checks them all.
#   sbatch --export=ALL,BUNDLE=…,INPUT=…,OUT=… examples/cluster/slurm.sh
# Start it again after failures: what is done is left alone.
#SBATCH --job-name=encode
#SBATCH --array=1-16
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
: "${BUNDLE:?} ${INPUT:?} ${OUT:?}"
if [ -n "${FINISH:-}" ]; then
  exec mirrorkit encode "$BUNDLE" "$INPUT" -o "$OUT" --finish
fi
if [ "$SLURM_ARRAY_TASK_ID" = "$SLURM_ARRAY_TASK_MIN" ]; then
  sbatch --array=1 --dependency="afterok:$SLURM_ARRAY_JOB_ID" --export=ALL,FINISH=1 "${SCRIPT:-$0}"
fi
srun mirrorkit encode "$BUNDLE" "$INPUT" -o "$OUT" --resume --threads "$SLURM_CPUS_PER_TASK" \
  --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
