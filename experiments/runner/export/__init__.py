"""Exported models: folders of graphs, weights, vocabulary and model card."""
