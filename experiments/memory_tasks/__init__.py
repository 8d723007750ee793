"""Tasks that need a memory, at growing lengths."""
