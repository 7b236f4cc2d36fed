"""The routes of a server, by topic; each module has its `router`."""
