"""One run: its command line, settings, folder, training loop, journal and result."""
