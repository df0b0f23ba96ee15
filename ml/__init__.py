"""Features, labels, models and the scores beside their baselines."""
