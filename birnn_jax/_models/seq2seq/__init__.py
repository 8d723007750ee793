"""A sequence for a sequence: an encoder, and a decoder that attends to it."""
