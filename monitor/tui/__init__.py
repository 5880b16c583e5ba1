"""The live terminal view, fed by messages alone."""
