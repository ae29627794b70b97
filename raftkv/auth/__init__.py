"""Who may do what: users, roles, their permissions, and how a caller shows who it is."""
