# Included by the Makefile. Results are appended to runs/benchmarks.jsonl.

.PHONY: bench bench-quick

bench: $(VENV)/.benchmarks  ## Times the standard grid beside the other frameworks (15 minutes)
	$(BIN)/python -m benchmarks.compare --suite standard

bench-quick: $(VENV)/.benchmarks  ## Times one shape beside torch and Flax (under a minute)
	$(BIN)/python -m benchmarks.compare --suite quick --seconds 3
