"""What a SavedModel could do: its operators, read without TensorFlow, held to an allow-list."""
