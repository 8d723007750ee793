"""What language models over characters share: text, minibatches, model, generation."""
