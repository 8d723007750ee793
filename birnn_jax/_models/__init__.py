"""A tagger, a classifier, and their readouts and losses."""
