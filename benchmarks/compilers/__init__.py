"""What the compilers of GPUs and TPUs make of the library, without a device: no times, all else."""
