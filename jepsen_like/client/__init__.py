"""How a request travels to a real member, and what came back, as a history sees it."""
