"""AlphaZero plays the elimination game (Lohoff and Neftci, AlphaGrad, 2024)."""
