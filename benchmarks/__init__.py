"""Speed and memory beside the other frameworks; start with README.md."""
