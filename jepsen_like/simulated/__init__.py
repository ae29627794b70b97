"""One seed to one run: a simulated cluster, its clients, its faults, and what came of it."""
