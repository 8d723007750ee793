"""Translation: pairs of sentences, subwords, an encoder and a decoder that attends to it."""
