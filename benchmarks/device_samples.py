"""Training samples, recolored, scaled, cropped and pasted on the device that trains."""

import numpy as np
import torch
import torch.nn.functional as F

from keras_segattn.data.dataset import IGNORE_CLASS
from keras_segattn.data.random_scale_crop_flip import RandomScaleCropFlip

PIXELS_PER_CLASS = 64
# Classes with a smaller share of the known pixels are pasted.
PASTED_SHARE = 0.03
# Red, green and blue in ITU-R 601 luma, with which Pillow grays images.
LUMA = (0.299, 0.587, 0.114)


class DeviceSamples:
    """Endless batches of a data set that fits into the device's memory.

    They follow `ColorJitter` and `RandomScaleCropFlip`, with two differences: scales are not
    rounded to whole pixels, and reduced images are not smoothed. In addition, rare classes of one
    sample can be pasted into another.

    Args:
        data: A `SegmentationDataset` of images of one size.
        recipe: A `Recipe`: its batch size, crop, scales, share of rare-class crops and color
            jitter.
        seed: Integer.
        device: A torch device.
        pasted: Float, the share of samples that may receive pixels of another sample, at their
            positions in its crop: of each of its rare classes with probability 1/2. Defaults to
            `0.0`.
    """

    def __init__(self, data, recipe, seed, device, pasted=0.0):
        images, masks = zip(*(data.read(index) for index in range(len(data))), strict=True)
        self.recipe, self.device, self.pasted = recipe, device, pasted
        self.size = masks[0].shape
        self.classes = len(data.class_names)
        self.images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(device)
        self.masks = torch.from_numpy(np.stack(masks))[:, None].to(device)
        counts = sum(np.bincount(mask.ravel(), minlength=256)[: self.classes] for mask in masks)
        self.rare = torch.from_numpy(counts < PASTED_SHARE * counts.sum()).to(device)
        pixels, held = self._pixels_of_classes(masks, np.random.default_rng(seed))
        self.pixels = torch.from_numpy(pixels).to(device)
        self.held = torch.from_numpy(held).to(device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.waiting = torch.empty(0, dtype=torch.long, device=device)

    def _pixels_of_classes(self, masks, rng):
        """Returns random pixels of each class in each mask, and whether the mask has the class."""
        pixels = np.zeros((len(masks), self.classes, PIXELS_PER_CLASS, 2), "float32")
        held = np.zeros((len(masks), self.classes), "float32")
        for image, mask in enumerate(masks):
            for label in np.setdiff1d(np.unique(mask), [IGNORE_CLASS]):
                found = rng.choice(np.flatnonzero(mask == label), PIXELS_PER_CLASS)
                pixels[image, label] = np.stack(np.unravel_index(found, mask.shape), -1)
                held[image, label] = 1
        return pixels, held

    def draw(self):
        """Returns images `(batch, height, width, 3)` from 0 to 255, and labels."""
        index = self._next_images()
        rows, columns = self._crop_positions(index)
        grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=-1)
        inside = (grid.abs() <= 1).all(-1)[:, None]
        images = self._sample(self._recolor(self.images[index].float()), grid, "bilinear")
        fill = torch.tensor(RandomScaleCropFlip.fill, dtype=torch.float32, device=self.device)
        images = torch.where(inside, images, fill[:, None, None])
        labels = self._sample(self.masks[index].float(), grid, "nearest")
        labels = torch.where(inside, labels, float(IGNORE_CLASS))[:, 0]
        images, labels = self._paste(images, labels.round().long(), inside[:, 0])
        return images.permute(0, 2, 3, 1).contiguous(), labels

    def _paste(self, images, labels, inside):
        chosen = self._uniform()[:, None] < self.pasted
        chosen = chosen & self.rare & (self._uniform_by_class() < 0.5)
        # Void is never pasted, but may be covered.
        chosen = F.pad(chosen, (0, IGNORE_CLASS + 1 - self.classes))
        others = labels.roll(1, 0)
        pasted = chosen.gather(1, others.flatten(1)).view_as(labels) & inside
        images = torch.where(pasted[:, None], images.roll(1, 0), images)
        return images, torch.where(pasted, others, labels)

    def _sample(self, maps, grid, mode):
        return F.grid_sample(maps, grid, mode, "border", align_corners=False)

    def _next_images(self):
        """Every image once per epoch; a batch may span two epochs."""
        while len(self.waiting) < self.recipe.batch_size:
            order = torch.randperm(len(self.images), generator=self.generator, device=self.device)
            self.waiting = torch.cat([self.waiting, order])
        index, self.waiting = self.waiting.split(
            [self.recipe.batch_size, len(self.waiting) - self.recipe.batch_size]
        )
        return index

    def _uniform(self, low=0.0, high=1.0):
        values = torch.rand(self.recipe.batch_size, generator=self.generator, device=self.device)
        return low + (high - low) * values

    def _uniform_by_class(self):
        shape = self.recipe.batch_size, self.classes
        return torch.rand(shape, generator=self.generator, device=self.device)

    def _recolor(self, images):
        strength = self.recipe.color_jitter
        brightness, contrast, saturation = (
            self._uniform(1 - strength, 1 + strength)[:, None, None, None] for _ in range(3)
        )
        luma = torch.tensor(LUMA, device=self.device)[:, None, None]
        images = (images * brightness).clamp(0, 255)
        mean = (images * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        images = (mean + (images - mean) * contrast).clamp(0, 255)
        gray = (images * luma).sum(1, keepdim=True)
        return (gray + (images - gray) * saturation).clamp(0, 255)

    def _crop_positions(self, index):
        """Returns where the crops' rows and columns lie in the images, from -1 to 1."""
        scale = self._uniform(*self.recipe.scale)
        pixel = self._pixel_of_random_class(index)
        rare = self._uniform() < self.recipe.rare_class_crops
        positions = []
        for axis, (size, crop) in enumerate(zip(self.size, self.recipe.crop, strict=True)):
            scaled, inside = scale * size, scale * pixel[:, axis]
            lowest, highest = (scaled - crop).clamp(max=0), (scaled - crop).clamp(min=0)
            with_pixel = rare & (scaled > crop)
            lowest = torch.where(with_pixel, (inside - crop + 1).clamp(min=0), lowest)
            highest = torch.where(with_pixel, torch.minimum(inside, scaled - crop), highest)
            offset = lowest + (highest - lowest) * self._uniform()
            center = torch.arange(crop, device=self.device) + 0.5
            positions.append(2 * (offset[:, None] + center) / scaled[:, None] - 1)
        rows, columns = positions
        flipped = self._uniform()[:, None] < 0.5
        return rows, torch.where(flipped, columns.flip(1), columns)

    def _pixel_of_random_class(self, index):
        label = (self._uniform_by_class() * self.held[index]).argmax(1)
        choice = (self._uniform() * PIXELS_PER_CLASS).long()
        return self.pixels[index, label, choice]
