"""What generate.py puts together: one module for each page, and what they share."""
