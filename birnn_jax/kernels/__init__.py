"""Fast paths of some cells, behind `scan_cell` and `bidirectional`: one folder a backend.

A kernel never defines semantics: `reference` does, and the tests hold every
kernel to it. The module to start reading is `xla.cell_rule`.
"""
