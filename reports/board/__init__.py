"""Many runs, ranked: the values behind a leaderboard."""
