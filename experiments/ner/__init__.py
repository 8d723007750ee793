"""Named entities in real text, with a CRF."""
