"""The data plane: what `bench/data-plane.sh` measures."""
