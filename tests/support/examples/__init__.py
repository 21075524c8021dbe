"""The files that CONTRIBUTING.md shows; tests/end_to_end/test_examples.py uses them as a user would."""
