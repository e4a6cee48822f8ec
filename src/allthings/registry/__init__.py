"""Everything that is configured: things, users, tokens. The only room that speaks SQLAlchemy."""
