# The commands in the README, for users of make.
PYTHON ?= python3

.PHONY: demo test lint docs oldest backbones release
demo test lint docs oldest backbones release:
	$(PYTHON) tasks.py $@ $(ARGS)
