"""What particular built-in kinds ask for, a file per group: defaults and rules."""
