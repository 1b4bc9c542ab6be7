"""Search for orders of edge and face elimination (docs/research/edge_and_face.md)."""
