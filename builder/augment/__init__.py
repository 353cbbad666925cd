"""How digits and images vary: one file for each augmentation, and the table of all."""
