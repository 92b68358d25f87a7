"""Answers in pages that fit into messages, and pages put together again."""
