"""Real parts for the tests to run against."""
