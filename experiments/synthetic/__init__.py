"""What experiments on made-up tasks share: the tasks and what learns them."""
