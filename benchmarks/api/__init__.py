"""The JSON API and the dashboard on a database of many interceptions."""
