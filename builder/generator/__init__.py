"""Specs in, pixels and annotations out: the one definition of a sample."""
