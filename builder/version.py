"""The version numbers that decide whether two builds speak of the same pixels and files."""

GENERATOR_VERSION = 2
"""Rises when any pixel or label of any recipe changes; the golden digests hold it in place."""

FORMAT_VERSION = 1
"""Rises when the files of a dataset change in a way that a reader must know of."""

RECIPE_VERSION = 1
"""Rises when the JSON form of a recipe changes in a way that a reader must know of."""
