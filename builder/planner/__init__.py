"""Recipe and indices in, seeds and specs out."""
