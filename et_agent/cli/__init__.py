"""The `et-agent` command. Everything heavy is imported when a command needs it."""
