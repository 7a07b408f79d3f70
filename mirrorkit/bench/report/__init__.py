"""A result as tables, Markdown, a page with plots."""
