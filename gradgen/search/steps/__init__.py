"""Search for orders of edge elimination (docs/research/edge_and_face.md)."""
