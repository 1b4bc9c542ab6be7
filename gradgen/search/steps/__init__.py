"""Search for orders of edge elimination (docs/edge_and_face.md)."""
