"""What the venues said, byte for byte."""
