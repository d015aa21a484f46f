"""The benchmark's result for people and programs: JSON, Markdown, and one page with plots."""
