"""What models over words share: vocabulary, vectors of words, a tagger."""
