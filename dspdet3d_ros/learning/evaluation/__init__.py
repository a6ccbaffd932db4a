"""How well boxes are found: metric, labelled scenes, reports."""
