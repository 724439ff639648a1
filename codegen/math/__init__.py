"""Functions of the scalar language, read as text by scalar_library; bounds is their accuracy."""
