"""Search for orders of edge and face elimination (docs/edge_and_face.md)."""
