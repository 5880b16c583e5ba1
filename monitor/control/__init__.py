"""What a person may change while the monitor runs, and the file that keeps it."""
