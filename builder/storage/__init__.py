"""How a dataset lies on disk: its config, completion records, manifest, output folder, formats."""
