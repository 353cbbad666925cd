"""How digits and images vary: the augmentations, and the table of all."""
