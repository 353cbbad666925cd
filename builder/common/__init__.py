"""What every room uses: errors, constants, validation, randomness, files, signals, log."""
