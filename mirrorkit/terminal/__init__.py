"""Terminal manners: messages, progress, tables."""
