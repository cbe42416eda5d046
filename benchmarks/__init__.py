"""stagepipe and its peers on the same work, side by side. `README.md` says what is measured."""
