"""Native kernels for CPUs: C++ behind XLA's typed FFI."""
