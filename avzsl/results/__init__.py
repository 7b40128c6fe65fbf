"""A results folder: where its files are, what its records hold, and the project it was built from."""
