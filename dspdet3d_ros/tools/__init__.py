"""Tools for developers, and views of results. They are above `learning` and `detector`; the node imports none of them."""
