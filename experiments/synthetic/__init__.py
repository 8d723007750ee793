"""Made-up tasks that need a memory, what learns them, and how gradients flow in it."""
