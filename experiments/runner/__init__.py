"""What every experiment shares: run folders, the training loop, batches, pictures, results.

Start reading at `loop`. Nothing here knows what is being trained.
"""
