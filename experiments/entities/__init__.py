"""Named entities: tag schemes, columns, the scorer of the field, a tagger with a CRF."""
