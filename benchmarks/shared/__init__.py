"""What several scripts here share. It is no part of the program; each script's own folder is where Python finds it."""
