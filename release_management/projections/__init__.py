"""What was true, arranged for a question: read models and their queries."""
