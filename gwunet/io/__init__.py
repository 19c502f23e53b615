"""Reading what hospitals have, and writing what gwunet makes of it."""
