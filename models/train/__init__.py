"""The recipe that makes the bundled models: label, fit or heads, export, evaluate, card."""
