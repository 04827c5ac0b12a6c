# The same commands as in the README, for those who have make.
PYTHON ?= python3

.PHONY: demo test lint oldest
demo test lint oldest:
	$(PYTHON) tasks.py $@ $(ARGS)
