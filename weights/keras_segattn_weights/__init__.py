"""Files of trained networks for keras_segattn, which reads them from this package's folder."""
