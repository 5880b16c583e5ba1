"""The recipe that makes the bundled model: label, fit, export, evaluate."""
