"""Tests: what the program does, and why that is right."""
