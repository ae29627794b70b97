"""A history and its verdicts as one HTML page that a person reads in a browser."""
