"""Train steps, and the folder of checkpoints."""
