"""Data on its way into a training: files, parts, batches, keys of rows."""
