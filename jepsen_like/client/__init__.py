"""How a request travels to a member, and what came back, as a history sees it."""
