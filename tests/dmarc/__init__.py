"""DMARC: records, the tree walk, alignment, the author's domain."""
