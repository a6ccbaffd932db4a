"""Views of results: a page, a picture, tables. It imports `learning.evaluation.metric` to match boxes with truth."""
