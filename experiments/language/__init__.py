"""Language models over characters: text, minibatches, the model, generation, what it learned."""
