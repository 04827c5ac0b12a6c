"""Opens a page in the browser to try networks on images; it works offline.

    python -m keras_segattn.demo                          # the networks of the package
    python -m keras_segattn.demo runs/camvid/model.keras  # your own network
    python -m keras_segattn.demo --port 9000 --no-browser

Drop an image or choose an example to see its classes and their shares. Click a pixel to see the
network's attention from there. Only this computer can open the page, unless --host allows others.
"""

import argparse
import functools
import sys

from keras_segattn.demo.networks import load_network


def parse_arguments(arguments=None, prog="python -m keras_segattn.demo"):
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__.replace("python -m keras_segattn.demo", prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=".keras files to list first (default: none)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 for all interfaces (default: 127.0.0.1)",
    )
    parser.add_argument("--port", type=int, default=8080, help="default: 8080")
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address of the page"
    )
    return parser.parse_args(arguments)


def main(arguments=None, prog="python -m keras_segattn.demo"):
    arguments = parse_arguments(arguments, prog)
    for path in arguments.models:
        try:
            load_network(path)
        except ValueError as error:
            sys.exit(f"error: {error}")
    try:
        from nicegui import app, ui
    except ImportError:
        sys.exit("The page requires NiceGUI: pip install 'keras-segattn[demo]'")
    from keras_segattn.demo.limits import BodyLimit
    from keras_segattn.demo.page import build

    app.add_middleware(BodyLimit)

    ui.run(
        functools.partial(build, arguments.models),
        host=arguments.host,
        port=arguments.port,
        title="keras-segattn",
        show=not arguments.no_browser,
        reload=False,
    )


if __name__ == "__main__":
    main()
