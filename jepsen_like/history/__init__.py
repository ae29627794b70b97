"""What clients did and saw, as values and as a file."""
