"""Every cell on one task, with as many parameters each."""
