"""From a source to the text of its derivative: opened, ordered, lowered, printed, verified."""
