"""Parts that the commands share: options, session, output, progress, errors."""
