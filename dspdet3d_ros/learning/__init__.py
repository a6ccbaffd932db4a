"""All that needs labels: data sets, generated scenes, training, evaluation."""
