"""From plans to text: lowering, passes, names, a printer for expressions, templates around it."""
