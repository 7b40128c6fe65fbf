"""One module a kind of source; `build.py` makes them from the configuration."""
