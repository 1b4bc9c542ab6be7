"""Pictures and reports for people: what was generated, what it costs, and why."""
