"""Is a dataset whole; make it whole."""
