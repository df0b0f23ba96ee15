"""One file a venue: from a frame to rows."""
