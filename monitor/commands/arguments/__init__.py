"""What each command takes, and its help; nothing here loads what the commands need to run."""
