"""What people read: predictions, scores and the views for BI."""
