"""Types, checks, dtypes and masks, on which everything else stands."""
