"""From a cell to a layer: one direction, two directions, and the choice of a backend."""
