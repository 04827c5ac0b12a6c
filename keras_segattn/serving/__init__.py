"""An exported network behind HTTP: `keras-segattn serve`."""
