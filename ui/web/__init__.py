"""The page: gradio, its tabs, and what they share."""
