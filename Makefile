# The same commands as in the README, for those who have make.
PYTHON ?= python3

.PHONY: demo test lint docs oldest
demo test lint docs oldest:
	$(PYTHON) tasks.py $@ $(ARGS)
