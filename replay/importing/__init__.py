"""From files to tables: what a file holds, how its columns map, which rows land."""
