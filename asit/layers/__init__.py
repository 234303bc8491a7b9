"""Building blocks of the vision transformer."""
