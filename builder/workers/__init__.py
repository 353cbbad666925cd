"""A joblib pool renders and writes shards until all are there."""
