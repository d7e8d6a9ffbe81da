"""Submissions, data checks and records of leaderboard runs."""
