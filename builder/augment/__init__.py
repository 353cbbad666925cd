"""How digits and images vary: the augmentations, the table of all, and their ranges."""
