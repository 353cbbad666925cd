"""Compiled functions: imported only where pixels are made, since numba takes its time to load."""
