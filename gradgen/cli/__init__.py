"""What people type, and what is printed for them."""
