"""Programs from plans, and programs from programs, in no language yet."""
