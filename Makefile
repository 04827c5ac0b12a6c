# The same commands as in the README, for those who have make.
PYTHON ?= python3

.PHONY: demo test lint docs oldest backbones release
demo test lint docs oldest backbones release:
	$(PYTHON) tasks.py $@ $(ARGS)
