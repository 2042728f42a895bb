"""What the cases of a pack are worth: what they exercise, what they would notice, and cases for what they leave out."""
