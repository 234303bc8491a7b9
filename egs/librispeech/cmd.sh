# shellcheck shell=bash
# Where jobs run: train_cmd for jobs on the processor, cuda_cmd for jobs that use a GPU.
# Any command that takes Kaldi's command line will do: $cmd [options] [JOB=1:nj] log/x.JOB.log command args...
export train_cmd="asit-run-local"
export cuda_cmd="asit-run-local --gpu 1"

# Slurm (conf/slurm.conf says how to submit), Grid Engine (conf/queue.conf) and PBS (conf/pbs.conf):
# export train_cmd="asit-run-slurm"        cuda_cmd="asit-run-slurm --gpu 1"
# export train_cmd="asit-run-grid-engine"  cuda_cmd="asit-run-grid-engine --gpu 1"
# export train_cmd="asit-run-pbs"          cuda_cmd="asit-run-pbs --gpu 1"

# A site's own Kaldi scripts work unchanged:
# export train_cmd="/path/to/kaldi/egs/wsj/s5/utils/parallel/slurm.pl"
