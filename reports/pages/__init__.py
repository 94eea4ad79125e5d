"""Self-contained HTML pages of a run, a comparison and a leaderboard."""
