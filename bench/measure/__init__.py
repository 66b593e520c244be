"""The measurements behind bench/run.sh. Standard library only."""
