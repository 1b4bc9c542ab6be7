"""AlphaGrad's tasks of vectors and matrices, counted as AlphaGrad counts them."""
