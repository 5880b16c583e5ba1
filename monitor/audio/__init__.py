"""Audio in: sources, the sample ring, and overlapping windows on a hop grid."""
