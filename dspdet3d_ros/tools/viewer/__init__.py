"""Results to look at: a page, a picture, tables."""
