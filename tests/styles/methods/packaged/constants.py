TAU = 0.9
