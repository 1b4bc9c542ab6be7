"""Functions that exist already: where they come from, and the text of what they are made of."""
