"""Functions of the scalar language: read as text by scalar_library, never imported."""
