# Included by the Makefile. Results are appended to runs/benchmarks.jsonl.

.PHONY: aot aot-quick bench bench-quick bench-sweep

bench: $(VENV)/.benchmarks  ## Time the standard grid beside the other frameworks (15 minutes)
	$(BIN)/python -m benchmarks.compare --suite standard

bench-quick: $(VENV)/.benchmarks  ## Time one shape beside torch and Flax (under a minute)
	$(BIN)/python -m benchmarks.compare --suite quick --seconds 3

bench-sweep: $(VENV)/.benchmarks  ## Time sweeps over T, B, H and layers, and draw them
	$(BIN)/python -m benchmarks.compare --suite sweep --resume --json runs/sweep.jsonl
	$(BIN)/python -m benchmarks.report runs/sweep.jsonl --plots runs/plots

aot: $(VENV)/.python  ## Compile the library for TPU v5e, H200 and MI300X, without a device, and compare with limits (half an hour)
	$(BIN)/python -m benchmarks.compilers

aot-quick: $(VENV)/.python  ## The same for six small programs
	$(BIN)/python -m benchmarks.compilers --suites quick
