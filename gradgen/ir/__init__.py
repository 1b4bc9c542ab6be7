"""The frozen types that the stages of the pipeline pass to each other; standard library only."""
