"""What every experiment shares: run folders, the training loop, batches, pictures, results.

Start reading at `run.loop`. Nothing here knows what is being trained.
"""
