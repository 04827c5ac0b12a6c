"""The page itself, built with NiceGUI, which includes everything the browser needs."""

import asyncio
import base64
import functools
import io

import keras_segattn
from keras_segattn.data import RoadScenes
from keras_segattn.demo import PHOTO
from keras_segattn.demo.limits import MOST_BYTES, TOO_LARGE
from keras_segattn.demo.networks import FOR_DRAWINGS, FOR_PHOTOS, OFFERED
from keras_segattn.demo.session import Session
from keras_segattn.images import read_image

DRAWN_EXAMPLES = 3
DRAWN_SIZE = (192, 256)
# Side of the example thumbnails, in pixels.
THUMBNAIL = 256
JPEG_QUALITY = 90


@functools.cache
def examples():
    """Returns example images, each with the trained network for its kind."""
    scenes = RoadScenes("test", DRAWN_EXAMPLES, DRAWN_SIZE)
    drawn = [(scenes.read(i)[0], FOR_DRAWINGS) for i in range(DRAWN_EXAMPLES)]
    return [(read_image(PHOTO), FOR_PHOTOS), *drawn]


def build(paths):
    """Builds the page for one visitor.

    Args:
        paths: Paths of `.keras` files to offer first.
    """
    Page(paths).draw()


class Page:
    """The elements of the page and their callbacks."""

    def __init__(self, paths):
        self.choices = [*map(str, paths), *OFFERED]
        self.session = Session()
        self.pixel = None
        self.closed = False
        # One action at a time: a click may come while a network is loading.
        self.busy = asyncio.Lock()

    def draw(self):
        from nicegui import ui

        with ui.header().classes("items-center"):
            ui.label("keras-segattn").classes("text-xl")
            ui.label(f"{keras_segattn.__version__}: drop an image, click a pixel")
        with ui.row().classes("w-full no-wrap items-start"):
            with ui.column().classes("w-72 shrink-0"):
                self._draw_controls(ui)
            with ui.column().classes("grow"):
                self.picture = ui.interactive_image(on_mouse=self.click, cross=True)
                self.picture.classes("w-full max-w-3xl")
                self.hint = ui.label()
                self.attention = ui.image().classes("w-full max-w-5xl")
                self.attention.set_visibility(False)
        ui.context.client.on_delete(self.close)
        ui.timer(0, self.start, once=True)

    def close(self):
        """Discards the visitor's image and its classes when the visitor has left."""
        self.closed = True
        self.session.close()

    def _draw_controls(self, ui):
        self.network = ui.select(self.choices, value=self.choices[0], label="network")
        self.network.classes("w-full").on_value_change(self.choose)
        self.path = ui.input("or the path of a .keras file").classes("w-full")
        self.path.on("keydown.enter", self.choose_path)
        self.upload = ui.upload(
            label="drop an image",
            auto_upload=True,
            on_upload=self.receive,
            on_rejected=lambda: ui.notify(TOO_LARGE, type="negative"),
            max_file_size=MOST_BYTES,
        )
        self.upload.classes("w-full").props("accept=image/* flat bordered")
        ui.label("or choose an example: a photo, or a drawn road")
        with ui.row().classes("gap-1"):
            for image, fitting in examples():
                example = ui.image(_picture(image, THUMBNAIL)).classes("w-32 cursor-pointer")
                example.on("click", functools.partial(self.show, image, fitting))
        ui.label("opacity of the classes")
        self.opacity = ui.slider(min=0, max=1, step=0.05, value=0.6)
        self.opacity.on_value_change(self.show_overlay)
        self.layer = ui.select([], label="attention of the layer").classes("w-full")
        self.layer.on_value_change(self.show_attention)
        self.legend = ui.column().classes("gap-0")

    async def start(self):
        await self._update(self.session.open, examples()[0][0], self.network.value)

    async def choose(self):
        # Not if the selection only follows the displayed network.
        if self.network.value != self.session.choice:
            await self._update(self.session.choose, self.network.value)

    async def choose_path(self):
        await self._update(self.session.choose, self.path.value)

    async def show(self, image, fitting):
        """Shows an image and selects the bundled network that fits it."""
        trained = self.session.choice in (FOR_PHOTOS, FOR_DRAWINGS)
        await self._update(self.session.open, image, fitting if trained else None)
        if self.session.choice in self.choices:
            self.network.set_value(self.session.choice)

    async def receive(self, event):
        data = await event.file.read()
        self.upload.reset()
        await self.show(data, FOR_PHOTOS)

    async def _update(self, action, *arguments):
        """Changes the session and shows the result."""
        self.hint.set_text("one moment ...")
        self.pixel = None
        self.attention.set_visibility(False)
        await self._run(action, *arguments)
        if self.closed:
            return
        # In any case, remove the message to wait.
        self.hint.set_text("")
        names = self.session.layers()
        self.layer.set_options(names, value=names[-1] if names else None)
        self.show_overlay()
        self.show_legend()

    async def _run(self, action, *arguments):
        """Runs a slow action in a thread and shows its error if it fails."""
        from nicegui import run, ui

        async with self.busy:
            try:
                return await run.io_bound(action, *arguments)
            except Exception as error:
                # Backends fail in many ways, for example without enough memory.
                if not self.closed:
                    ui.notify(str(error) or repr(error), type="negative", multi_line=True)
                return None
            finally:
                if self.closed:
                    # The visitor left while it ran.
                    self.session.close()

    def show_overlay(self):
        if self.session.result is not None:
            self.picture.set_source(_picture(self.session.result.overlay(self.opacity.value)))
            self.hint.set_text("Click a pixel to see the network's attention.")

    def show_legend(self):
        from nicegui import ui

        self.legend.clear()
        if self.session.result is None:
            return
        with self.legend:
            for name, (red, green, blue), share in self.session.legend():
                with ui.row().classes("items-center gap-2"):
                    ui.element("div").style(
                        f"width: 1rem; height: 1rem; background: rgb({red}, {green}, {blue})"
                    )
                    ui.label(f"{name} {share:.1%}")

    async def click(self, event):
        if self.session.result is None:
            return
        height, width = self.session.result.class_map.shape[:2]
        row = min(max(int(event.image_y), 0), height - 1)
        column = min(max(int(event.image_x), 0), width - 1)
        self.pixel = row, column
        await self.show_attention()

    async def show_attention(self):
        pixel = self.pixel
        if pixel is None or self.layer.value is None:
            return
        png = await self._run(self.session.attention, pixel, self.layer.value)
        # A newer change will show its own result.
        if png is None or pixel != self.pixel or self.closed:
            return
        self.attention.set_source("data:image/png;base64," + base64.b64encode(png).decode())
        self.attention.set_visibility(True)
        row, column = pixel
        self.hint.set_text(f"row {row}, column {column}: {self.session.class_at(pixel)}")


def _picture(image, longest_side=None):
    """Returns an image as text for the browser; NiceGUI would store a Pillow image in a file."""
    from PIL import Image

    picture, file = Image.fromarray(image), io.BytesIO()
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side))
    picture.save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
