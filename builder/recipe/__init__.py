"""What is asked for, validated: recipe, labels, digits."""
