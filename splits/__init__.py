"""Metadata -> clips -> seen/unseen subsets -> audit."""
