"""Tools for developers, and views of results. They import `learning` and `detector`; the node imports none of them."""
