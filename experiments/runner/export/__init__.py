"""A trained model as a folder that others use: graphs, weights, vocabulary and model card."""
