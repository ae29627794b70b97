"""The web page that a member serves: see DESIGN.md."""
