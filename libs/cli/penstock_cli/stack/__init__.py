"""The whole stack on one machine: started, watched, restarted and drained."""
