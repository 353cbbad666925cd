"""Recipes, which say what is asked for, with the labels and the digits that they name."""
